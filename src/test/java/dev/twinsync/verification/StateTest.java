package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.record.Schemas;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.mock.env.MockEnvironment;

/** What is verified unasked, and what is said of it. */
class StateTest {

    private static Shop shop;
    private static ConfigurableApplicationContext service;
    private static Caller caller;

    @BeforeAll
    static void load() {
        shop = new Shop("vst-");
        shop.load(300, 3);
        service = dev.twinsync.devservices.Neighbours.get().service();
        caller = new Caller(service);
    }

    @AfterAll
    static void end() {
        shop.close();
    }

    private static Verifications every(String interval, String sweepDays) {
        return new Verifications(
                service.getBean(Runs.class),
                service.getBean(Runner.class),
                service.getBean(Lag.class),
                service.getBean(State.class),
                service.getBean(SelfTest.class),
                service.getBean(Schemas.class),
                service.getBean(JdbcTemplate.class),
                service.getBean(dev.twinsync.audit.Audit.class),
                new MockEnvironment()
                        .withProperty("twinsync.verification.every", interval)
                        .withProperty("twinsync.verification.sweep-days", sweepDays));
    }

    private static List<Long> runs(String origin, long after) {
        return shop.app.queryForList(
                "select run from sync.verification_run where entity = 'order' and origin = ? and run > ? order by run",
                Long.class,
                origin,
                after);
    }

    /** The gauge as a service that has just been started tells it. */
    private static double gauge(String what) {
        MeterRegistry registry = new SimpleMeterRegistry();
        State state = new State(
                service.getBean(Schemas.class),
                service.getBean(Runs.class),
                service.getBean(JdbcTemplate.class),
                registry);
        assertThat(state.health().getDetails()).containsKeys("order", "user");
        return registry.get("sync_verification_" + what)
                .tag("entity", "order")
                .gauge()
                .value();
    }

    @Test
    void theScheduleAndTheSweepFindWhatIsDamagedAndMetricsAndHealthSayIt() throws Exception {
        shop.mini.tamper("order", shop.id(7), Map.of("status", "paid"));
        long before =
                shop.get("/verifications").path("items").path(0).path("run").asLong();
        Verifications verifications = every("24h", "7");
        verifications.schedule();
        verifications.schedule();
        for (String origin : List.of("schedule", "sweep")) {
            assertThat(runs(origin, before)).hasSize(1);
            long run = runs(origin, before).get(0);
            JsonNode told = shop.ended(run, "done");
            assertThat(told.path("asked_by").asText()).isEqualTo("twinsync");
            assertThat(shop.found(run)).containsExactly("mini status_back " + shop.id(7));
        }
        // a schedule's interval has not passed; a sweep follows the one that ended
        verifications.schedule();
        assertThat(runs("schedule", before)).hasSize(1);
        assertThat(runs("sweep", before)).hasSize(2);
        shop.ended(runs("sweep", before).get(1), "done");

        assertThat(gauge("records")).isGreaterThanOrEqualTo(300);
        assertThat(gauge("verified_share")).isGreaterThan(0.9);
        assertThat(gauge("verified_age_seconds")).isBetween(0.0, 600.0);
        assertThat(gauge("divergent")).isGreaterThanOrEqualTo(1);
        assertThat(gauge("divergent_oldest_seconds")).isBetween(0.0, 600.0);
        assertThat(caller.get("ops-key", "/actuator/prometheus").body())
                .contains("sync_verification_verified_share{", "sync_verification_converged_p99_hour_seconds{");
        assertThat(caller.json("ops-key", "/actuator/health")
                        .path("components")
                        .path("verification")
                        .path("details")
                        .path("order")
                        .has("verified_share"))
                .isTrue();
        shop.mini.tamper("order", shop.id(7), Map.of("status", "shipped"));
    }

    @Test
    void aRunningSweepTellsWhatWasChangedLatelyAndDiffersBeforeItEnds() {
        Runner runner = service.getBean(Runner.class);
        String id = shop.id(20);
        shop.app.update(
                "update orders set tracking_number = 'lately', updated_at = clock_timestamp() where order_id = ?", id);
        await().atMost(Duration.ofSeconds(60)).until(() -> shop.mini
                .read("order", id)
                .path("shipping_info")
                .path("tracking_number")
                .asText()
                .equals("lately"));
        shop.echoed("order");
        shop.mini.tamper("order", id, Map.of("status", "paid"));
        // its next step is far off, as it is for most of a sweep's days
        long run = shop.app.queryForObject("""
                insert into sync.verification_run (entity, origin, repair, state, asked_by, progress)
                values ('order', 'sweep', 'none', 'running', 'twinsync', jsonb_build_object(
                  'system', 'app', 'after', '', 'step_at', '9999-01-01T00:00:00Z', 'lately', to_char(
                    (clock_timestamp() - interval '10 minutes') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))
                returning run""", Long.class);
        await().atMost(Duration.ofSeconds(60))
                .pollInterval(Duration.ofMillis(300))
                .untilAsserted(() -> {
                    shop.app.update("update sync.verification_run set next_at = clock_timestamp() where run = ?", run);
                    runner.turn();
                    assertThat(shop.found(run)).containsExactly("mini status_back " + id);
                });
        shop.post("/verifications/" + run + "/cancel", "");
        shop.mini.tamper("order", id, Map.of("status", "shipped"));
    }

    @Test
    void theDiagnosisNamesWhatIsMissingWithItsRemedy() throws Exception {
        JsonNode well = caller.json("ops-key", "/diagnose");
        assertThat(checks(well, "fault")).as(well.toString()).isEmpty();
        assertThat(checks(well, "ok"))
                .contains(
                        "sync database",
                        "app database",
                        "topics",
                        "flows page-app-orders, check-app-orders, digest-app-orders",
                        "listing of orders at mini",
                        "digests of orders at mini",
                        "changes of users at mini",
                        "reads of orders at mini",
                        "rights of lock-app-orders, write-app-orders",
                        "topic order.observed",
                        "topic user.changed-dlt",
                        "grant create in schema sync",
                        "clock of the sync database",
                        "setting twinsync.mini.batch-size");
        assertThat(checks(well, "warning"))
                .contains("setting twinsync.mini.signing-secret", "setting twinsync.alarms.webhooks");
        assertThat(well.toString()).doesNotContain("ops-key", "mini-api-key", "$2a$");
        shop.mini.digests(false);
        shop.mini.listings(false);
        try {
            JsonNode less = caller.json("ops-key", "/diagnose");
            assertThat(less.path("state").asText()).isEqualTo("warning");
            assertThat(checks(less, "warning")).contains("listing of orders at mini", "digests of users at mini");
            less.path("items").forEach(item -> assertThat(item.path("remedy").isTextual())
                    .isEqualTo(!item.path("state").asText().equals("ok")));
        } finally {
            shop.mini.digests(true);
            shop.mini.listings(true);
        }
    }

    private static List<String> checks(JsonNode told, String state) {
        List<String> checks = new ArrayList<>();
        told.path("items").forEach(item -> {
            if (item.path("state").asText().equals(state)) {
                checks.add(item.path("check").asText());
            }
        });
        return checks;
    }
}
