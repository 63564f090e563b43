package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.operations.Watches;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.mock.env.MockEnvironment;

/** What has not been quiet is no difference: a change that lies in a topic is on its way, however long it lies there. */
class QuietTest {

    private static final String MERGE = "/flows/merge-orders";

    private static Shop shop;
    private static ConfigurableApplicationContext service;

    @BeforeAll
    static void load() {
        shop = new Shop("qui-");
        shop.load(20, 1);
        service = Neighbours.get().service();
        shop.settled();
        shop.post(MERGE + "/pause", "{\"reason\":\"a backlog\"}");
    }

    @AfterAll
    static void end() {
        shop.post(MERGE + "/start", "{\"reason\":\"the test is over\"}");
        shop.settled();
        shop.close();
    }

    private static Duration behind() {
        return service.getBean(Watches.class).behind("order").orElseThrow();
    }

    /** An edit that is in the topic, where nobody works it. */
    private static void edit(int n) {
        shop.app.update(
                "update orders set tracking_number = 'late', updated_at = clock_timestamp() where order_id = ?",
                shop.id(n));
    }

    private static void untilBehindBy(Duration time) {
        await().atMost(Duration.ofMinutes(1)).until(() -> behind().compareTo(time) > 0);
    }

    @Test
    void aBacklogIsWaitedFor() {
        edit(1);
        shop.mini.tamper("order", shop.id(2), Map.of("status", "paid"));
        untilBehindBy(Duration.ofSeconds(6));
        long run = shop.post(
                        "/verifications",
                        "{\"entity\":\"order\",\"ids\":[\"" + shop.id(1) + "\",\"" + shop.id(2) + "\"]}")
                .path("run")
                .asLong();
        // longer than the ends' own quiet would ever last
        await().atMost(Duration.ofMinutes(1))
                .until(() -> shop.get("/verifications/" + run)
                                .path("told")
                                .path("quiet_ms")
                                .asLong()
                        > 6000);
        assertThat(shop.get("/verifications/" + run).path("state").asText()).isEqualTo("confirming");
        assertThat(shop.get("/verifications/" + run).path("unconfirmed").asInt())
                .isEqualTo(2);
        shop.post(MERGE + "/start", "{\"reason\":\"go on\"}");
        assertThat(shop.ended(run, "done").path("unverified").asInt()).isZero();
        assertThat(shop.found(run)).containsExactly("mini status_back " + shop.id(2));
        shop.mini.tamper("order", shop.id(2), Map.of("status", "shipped"));
        shop.post(MERGE + "/pause", "{\"reason\":\"a backlog\"}");
    }

    @Test
    void whatMayLieInABacklogThatDoesNotEndIsUnverifiedAndDamageIsFoundAllTheSame() {
        edit(3);
        shop.mini.tamper("order", shop.id(4), Map.of("status", "paid"));
        untilBehindBy(Duration.ofSeconds(3));
        Confirmation confirmation = new Confirmation(
                service.getBean(Runs.class),
                service.getBean(Looks.class),
                service.getBean(SelfTest.class),
                service.getBean(Watches.class),
                service.getBean(CaptureSchemes.class),
                new MockEnvironment()
                        .withProperty("twinsync.verification.quiet-floor", "200ms")
                        .withProperty("twinsync.verification.quiet-longest", "200ms")
                        .withProperty("twinsync.verification.backlog-longest", "1s"));
        Schema schema = service.getBean(Schemas.class).of("order");
        Runs runs = service.getBean(Runs.class);
        Run run = new Run();
        run.run = runs.add("order", "asked", List.of(shop.id(3), shop.id(4)), "none", "a test");
        // taken by nobody else
        shop.app.update("update sync.verification_run set paused = true, turn = 1 where run = ?", run.run);
        run.turn = 1;
        run.entity = "order";
        run.origin = "asked";
        run.repair = "none";
        run.state = "confirming";
        run.ids = List.of(shop.id(3), shop.id(4));
        run.progress = dev.twinsync.record.Json.MAPPER.createObjectNode();
        run.told = dev.twinsync.record.Json.MAPPER.createObjectNode();
        run.startedAt = Instant.now();
        Looks looks = service.getBean(Looks.class);
        looks.examine(run, schema, "app", List.of(shop.id(3)), Looks.Before.NONE);
        looks.examine(run, schema, "mini", List.of(shop.id(4)), Looks.Before.NONE);
        await().atMost(Duration.ofMinutes(1)).until(() -> {
            confirmation.confirm(run, schema);
            return run.state.equals("done");
        });
        assertThat(run.unverified).isEqualTo(1);
        assertThat(run.told.path("on_its_way").asInt()).isEqualTo(1);
        assertThat(shop.differences(run.run))
                .satisfiesExactlyInAnyOrder(
                        way -> {
                            assertThat(way.path("id").asText()).isEqualTo(shop.id(3));
                            assertThat(way.path("state").asText()).isEqualTo("unverified");
                        },
                        damage -> {
                            assertThat(damage.path("id").asText()).isEqualTo(shop.id(4));
                            assertThat(damage.path("state").asText()).isEqualTo("confirmed");
                        });
        shop.post("/verifications/" + run.run + "/cancel", "");
        shop.mini.tamper("order", shop.id(4), Map.of("status", "shipped"));
    }
}
