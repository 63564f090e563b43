package dev.twinsync.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.apache.camel.CamelContext;
import org.apache.camel.ServiceStatus;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** What a person puts still is still: on every instance, and on one that starts later, until somebody starts it. */
class FlowStopsTest {

    private static final String FLOW = "deliver-mini-users";

    private final Neighbours neighbours = Neighbours.get();
    private final Caller here = new Caller(neighbours.service());
    private final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));

    private static void soon(ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(60))
                .pollInterval(Duration.ofMillis(50))
                .ignoreExceptions()
                .untilAsserted(check);
    }

    private ConfigurableApplicationContext another() {
        SpringApplication application = new SpringApplication(dev.twinsync.Twinsync.class);
        application.setDefaultProperties(neighbours.settings());
        application.setRegisterShutdownHook(false);
        return application.run();
    }

    private static ServiceStatus status(ConfigurableApplicationContext service) {
        return service.getBean(CamelContext.class).getRouteController().getRouteStatus(FLOW);
    }

    private JsonNode flow() throws Exception {
        return Json.read(here.get("ops-key", "/flows/" + FLOW).body());
    }

    @Test
    void aStoppedFlowIsStoppedOnEveryInstanceAndWhereTheServiceStartsAgain() throws Exception {
        HttpResponse<String> stopped =
                here.post("ops-key", "/flows/" + FLOW + "/stop", "{\"reason\":\"they move; call 13912345678\"}");
        assertThat(stopped.statusCode()).as(stopped.body()).isEqualTo(200);
        assertThat(flow().path("state").asText()).isEqualTo("stopped");
        assertThat(flow().path("put_still").path("by").asText()).isEqualTo("ops");
        assertThat(flow().path("put_still").path("reason").asText()).isEqualTo("they move; call 139****5678");
        ConfigurableApplicationContext there = another();
        try {
            // where it starts anew, the flow does not even begin
            assertThat(status(there).isStopped()).isTrue();
            app.update("insert into users (user_id, nickname) values ('still-1', '甲')");
            app.update(
                    "insert into orders (order_id, user_id, status, payment_amount) values ('still-1', 'still-1', 'paid', 1)");
            // all else goes on
            soon(() -> assertThat(app.queryForObject(
                            "select count(*) from sync.due where id = 'still-1' and entity = 'user' and system = 'mini'",
                            Long.class))
                    .isEqualTo(1));
            soon(() -> assertThat(neighbours.mini.writes().stream().anyMatch(w -> w.id().equals("still-1")))
                    .isTrue());
            assertThat(neighbours.mini.read("user", "still-1")).isNull();
            soon(() ->
                    assertThat(here.get("ops-key", "/actuator/health").body()).contains("stopped by ops: they move"));
            assertThat(new Caller(there)
                            .post("ops-key", "/flows/" + FLOW + "/start", "{\"reason\":\"they have moved\"}")
                            .statusCode())
                    .isEqualTo(200);
            soon(() -> {
                assertThat(status(there).isStarted()).isTrue();
                assertThat(status(neighbours.service()).isStarted()).isTrue();
                assertThat(neighbours.mini.read("user", "still-1")).isNotNull();
            });
            assertThat(flow().path("put_still").isNull()).isTrue();
            assertThat(here.get("ops-key", "/audit?target=" + FLOW).body())
                    .contains("flow.stop", "flow.start", "they have moved")
                    .doesNotContain("13912345678");
        } finally {
            there.close();
            here.post("ops-key", "/flows/" + FLOW + "/start", "{\"reason\":\"the test is over\"}");
        }
        soon(() -> assertThat(status(neighbours.service()).isStarted()).isTrue());
    }

    @Test
    void aPausedFlowKeepsItsPlaceAndGoesOnWithTheNext() throws Exception {
        assertThat(here.post("ops-key", "/flows/" + FLOW + "/pause", "{\"reason\":\"a look\"}")
                        .statusCode())
                .isEqualTo(200);
        assertThat(status(neighbours.service()).isSuspended()).isTrue();
        app.update("insert into users (user_id, nickname) values ('still-2', '乙')");
        soon(() -> assertThat(app.queryForObject("select count(*) from sync.due where id = 'still-2'", Long.class))
                .isEqualTo(1));
        assertThat(neighbours.mini.read("user", "still-2")).isNull();
        here.post("ops-key", "/flows/" + FLOW + "/start", "{\"reason\":\"seen\"}");
        soon(() -> assertThat(neighbours.mini.read("user", "still-2")).isNotNull());
    }

    @Test
    void aFlowThatIsPausedWhileItsWorkTakesLongGoesOnWithTheNext() throws Exception {
        var camel = neighbours.service().getBean(CamelContext.class);
        long patience = camel.getShutdownStrategy().getTimeout();
        camel.getShutdownStrategy().setTimeout(1);
        neighbours.mini.hold();
        try {
            app.update("insert into users (user_id, nickname) values ('still-3', '丙')");
            soon(() -> assertThat(neighbours.mini.isUnderWay("user", "still-3")).isTrue());
            assertThat(here.post("ops-key", "/flows/" + FLOW + "/pause", "{\"reason\":\"it hangs\"}")
                            .statusCode())
                    .isEqualTo(200);
            assertThat(neighbours.mini.isUnderWay("user", "still-3"))
                    .as("its work outlasts what is waited for it")
                    .isTrue();
        } finally {
            neighbours.mini.letGo();
            camel.getShutdownStrategy().setTimeout(patience);
            here.post("ops-key", "/flows/" + FLOW + "/start", "{\"reason\":\"it does not\"}");
        }
        app.update("insert into users (user_id, nickname) values ('still-4', '丁')");
        soon(() -> assertThat(neighbours.mini.read("user", "still-4")).isNotNull());
    }

    @Test
    void whatCantBePutStillIsRefusedWithTheReason() throws Exception {
        HttpResponse<String> silent = here.post("ops-key", "/flows/" + FLOW + "/stop", "{}");
        assertThat(silent.statusCode()).isEqualTo(422);
        assertThat(silent.body()).contains("/reason");
        HttpResponse<String> called = here.post("ops-key", "/flows/read-app-users/stop", "{\"reason\":\"x\"}");
        assertThat(called.statusCode()).isEqualTo(409);
        assertThat(called.body()).contains("called by other flows");
        assertThat(here.post("ops-key", "/flows/no-such-flow/stop", "{\"reason\":\"x\"}")
                        .statusCode())
                .isEqualTo(404);
        HttpResponse<String> off = here.post("ops-key", "/flows/log-app-users/start", "{\"reason\":\"x\"}");
        assertThat(off.statusCode()).isEqualTo(409);
        assertThat(off.body()).contains("not in use");
        assertThat(Json.read(here.get("ops-key", "/flows/log-app-users").body())
                        .path("state")
                        .asText())
                .isEqualTo("off");
        assertThat(here.post("app-key", "/flows/" + FLOW + "/stop", "{\"reason\":\"x\"}")
                        .statusCode())
                .isEqualTo(403);
    }
}
