package dev.twinsync.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Clocks;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.camel.CamelContext;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.actuate.health.Status;
import org.springframework.context.ConfigurableApplicationContext;

/** A fault is shown, with its cause, and so is its end. */
class HealthTest {

    private static ConfigurableApplicationContext service;
    private static MiniProgram mini;
    private static Caller caller;

    @BeforeAll
    static void start() {
        service = Neighbours.get().service();
        mini = Neighbours.get().mini;
        caller = new Caller(service);
    }

    private static void soon(ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(30)).ignoreExceptions().untilAsserted(check);
    }

    private static JsonNode part(String... names) throws Exception {
        JsonNode node = caller.json("ops-key", "/actuator/health");
        for (String name : names) {
            node = node.path("components").path(name);
        }
        return node;
    }

    private static String status(String... names) throws Exception {
        return part(names).path("status").asText();
    }

    @Test
    void everyNeighbourAndEveryFlowIsShown() throws Exception {
        for (String name : new String[] {"appDatabase", "syncDatabase", "kafka", "keySweep", "started"}) {
            soon(() -> assertThat(status(name)).as(name).isEqualTo("UP"));
        }
        soon(() -> assertThat(status("systems", "app")).isEqualTo("UP"));
        soon(() -> assertThat(status("systems", "mini")).isEqualTo("UP"));
        // camel's own checks would make a flow that waits a reason to restart
        assertThat(caller.json("ops-key", "/actuator/health").path("components").properties().stream()
                        .filter(part -> part.getKey().startsWith("camel")))
                .isEmpty();
        CamelContext camel = service.getBean(CamelContext.class);
        assertThat(camel.getRoutes()).isNotEmpty();
        soon(() -> {
            JsonNode flows = part("flows").path("components");
            assertThat(flows.size()).isEqualTo(camel.getRoutes().size());
            camel.getRoutes().forEach(route -> assertThat(
                            flows.path(route.getRouteId()).path("status").asText())
                    .as(route.getRouteId())
                    .isEqualTo("UP"));
        });
        assertThat(part("deadLetters").path("details").path("open").isNumber()).isTrue();
        assertThat(part("lag").path("details").path("order at mini").path("due").isNumber())
                .isTrue();
        assertThat(part("flows")
                        .path("components")
                        .path("poll-app-orders")
                        .path("details")
                        .has("last_turn"))
                .isTrue();
    }

    @Test
    void probesAreOpenAndUp() throws Exception {
        for (String probe : new String[] {"liveness", "readiness"}) {
            HttpResponse<String> answer = caller.get(null, "/actuator/health/" + probe);
            assertThat(answer.statusCode()).isEqualTo(200);
            assertThat(Json.read(answer.body()).path("status").asText()).isEqualTo("UP");
        }
        assertThat(caller.json("ops-key", "/actuator/health/readiness")
                        .path("components")
                        .has("started"))
                .isTrue();
        assertThat(caller.json("ops-key", "/actuator/health/liveness")
                        .path("components")
                        .size())
                .isEqualTo(1);
    }

    @Test
    void anOutageIsShownWithItsCauseAndSoIsItsEnd() throws Exception {
        mini.always(503);
        try {
            Neighbours.get()
                    .postgres
                    .execute(
                            "insert into users (user_id, nickname) values ('health-outage', 'a') on conflict (user_id) do nothing");
            soon(() -> {
                assertThat(status("systems", "mini")).isEqualTo("DOWN");
                JsonNode flow = part("flows", "deliver-mini-users");
                assertThat(flow.path("status").asText()).isEqualTo("WAITING");
                assertThat(flow.path("details").path("cause").asText()).contains("503");
                assertThat(Instant.parse(flow.path("details").path("since").asText()))
                        .isBefore(Instant.now());
                assertThat(status("flows", "poll-mini-users")).isEqualTo("DOWN");
                assertThat(part("flows", "poll-mini-users")
                                .path("details")
                                .path("cause")
                                .asText())
                        .contains("CallFailed");
            });
            HttpResponse<String> answer = caller.get(null, "/actuator/health");
            assertThat(answer.statusCode()).isEqualTo(503);
            assertThat(Json.read(answer.body()).path("status").asText()).isEqualTo("DOWN");
            assertThat(caller.get(null, "/actuator/health/liveness").statusCode())
                    .isEqualTo(200);
            assertThat(caller.get(null, "/actuator/health/readiness").statusCode())
                    .isEqualTo(200);
            assertThat(caller.get("ops-key", "/actuator/prometheus").body())
                    .containsPattern("sync_breaker_open\\{.*endpoint=\"mini\".*} 1\\.0");
        } finally {
            mini.always(null);
        }
        soon(() -> {
            assertThat(status("systems", "mini")).isEqualTo("UP");
            assertThat(status("flows", "deliver-mini-users")).isEqualTo("UP");
            assertThat(status("flows", "poll-mini-users")).isEqualTo("UP");
        });
        soon(() -> assertThat(caller.get("ops-key", "/actuator/prometheus").body())
                .containsPattern("sync_breaker_open\\{.*endpoint=\"mini\".*} 0\\.0"));
    }

    @Test
    void aClockThatIsFarOffIsAWarning() {
        Clocks clocks = new Clocks();
        clocks.measured("app", Instant.EPOCH.plusSeconds(9), Instant.EPOCH, Instant.EPOCH, Duration.ZERO);
        HealthIndicator health = new NeighbourHealth().clocksHealthIndicator(clocks);
        assertThat(health.health().getStatus()).isEqualTo(new Status("WARNING"));
        assertThat(health.health().getDetails().get("app").toString())
                .contains("9")
                .contains("NTP");
        clocks.measured("app", Instant.EPOCH, Instant.EPOCH, Instant.EPOCH, Duration.ZERO);
        assertThat(health.health().getStatus()).isEqualTo(Status.UP);
    }

    @Test
    void aFlowThatSomebodyStoppedIsDownUntilItRunsAgain() throws Exception {
        CamelContext camel = service.getBean(CamelContext.class);
        try {
            // what is meant to run may be started again in between
            soon(() -> {
                camel.getRouteController().stopRoute("sweep-app-users");
                assertThat(status("flows", "sweep-app-users")).isEqualTo("DOWN");
            });
        } finally {
            camel.getRouteController().startRoute("sweep-app-users");
        }
        soon(() -> assertThat(status("flows", "sweep-app-users")).isEqualTo("UP"));
    }

    @Test
    void aMassDeletionThatIsHeldBackIsDownAndSaysHowItIsReleased() throws Exception {
        // a sweep in between finds nothing gone and lets go at once: then it is tried again
        soon(() -> {
            Neighbours.get().postgres.execute("""
                    insert into sync.cursor (name, value)
                    values ('sweep-app-orders', '{"braked": 77, "since": "2026-01-01T00:00:00Z"}')
                    on conflict (name) do update set value = excluded.value""");
            assertThat(service.getBean(State.class).look().brakes().get("sweep-app-orders"))
                    .contains("77 deletions of orders at app")
                    .contains("POST /sweeps/app/orders/release");
        });
        // the next sweep finds nothing gone and lets go
        soon(() -> assertThat(status("keySweep")).isEqualTo("UP"));
    }

    @Test
    void aNeighbourThatDoesNotAnswerOrHangsIsDownAndUpAgain() {
        AtomicBoolean away = new AtomicBoolean();
        CountDownLatch hangs = new CountDownLatch(1);
        AtomicBoolean hang = new AtomicBoolean();
        try (Watch<String> watch =
                new Watch<>("a test's neighbour", Duration.ofMillis(20), Duration.ofMillis(500), () -> {
                    if (hang.get()) {
                        hangs.await();
                    }
                    if (away.get()) {
                        throw new IllegalStateException("outer", new java.io.IOException("it is away"));
                    }
                    return "here";
                })) {
            soon(() -> assertThat(watch.answer().value()).isEqualTo("here"));
            away.set(true);
            soon(() -> assertThat(watch.answer().trouble()).isEqualTo("IOException: it is away"));
            Instant since = watch.answer().since();
            away.set(false);
            soon(() -> assertThat(watch.answer().trouble()).isNull());
            assertThat(watch.answer().since()).isAfter(since);
            hang.set(true);
            soon(() -> assertThat(watch.answer().trouble()).startsWith("no answer for"));
            hangs.countDown();
            soon(() -> assertThat(watch.answer().trouble()).isNull());
        }
    }

    @Test
    void moreLettersOrLagThanABoundIsDown() {
        Seen seen = new Seen(
                java.util.List.of(new Seen.Backlog("order", "mini", Duration.ofMinutes(5), "1", 10, 1)),
                java.util.List.of(new Seen.Letters("order", "mini", 3, Duration.ofHours(1), 0, 3, 3)),
                Map.of(),
                Map.of());
        try (Watch<Seen> state = new Watch<>("state", Duration.ofHours(1), Duration.ofHours(3), () -> seen)) {
            soon(() -> assertThat(state.answer().value()).isNotNull());
            Watches watches = new Watches(null, state, null);
            NeighbourHealth health = new NeighbourHealth();
            assertThat(health.deadLettersHealthIndicator(watches, 2).health().getStatus())
                    .isEqualTo(Status.DOWN);
            assertThat(health.deadLettersHealthIndicator(watches, 3).health().getStatus())
                    .isEqualTo(Status.UP);
            assertThat(health.deadLettersHealthIndicator(watches, -1).health().getStatus())
                    .isEqualTo(Status.UP);
            assertThat(health.lagHealthIndicator(watches, Duration.ofMinutes(4))
                            .health()
                            .getStatus())
                    .isEqualTo(Status.DOWN);
            assertThat(health.lagHealthIndicator(watches, Duration.ofMinutes(6))
                            .health()
                            .getStatus())
                    .isEqualTo(Status.UP);
            assertThat(health.lagHealthIndicator(watches, Duration.ZERO)
                            .health()
                            .getStatus())
                    .isEqualTo(Status.UP);
        }
    }
}
