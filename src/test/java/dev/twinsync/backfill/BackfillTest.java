package dev.twinsync.backfill;

import static dev.twinsync.capture.OwnWorld.call;
import static dev.twinsync.capture.OwnWorld.get;
import static dev.twinsync.capture.OwnWorld.soon;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.OwnWorld;
import dev.twinsync.record.Json;
import java.math.BigDecimal;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;

/** Two ends that grew apart are brought together, and the state is rebuilt from them. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class BackfillTest {

    private static final int USERS = 3000;
    private static final Map<String, Object> STILL = Map.of("CAPTURE_APP", "none", "CAPTURE_MINI", "none");

    private static OwnWorld world;
    private static JdbcTemplate app;
    private static ConfigurableApplicationContext service;

    @BeforeAll
    static void start() throws Exception {
        world = new OwnWorld("backfill");
        app = world.app;
        app.update(
                "insert into users (user_id, nickname) select 'b' || n, '众' || n from generate_series(1, ?) n", USERS);
        app.update("insert into users (user_id, nickname, phone, unionid) values ('same1', '甲', '13800138000', 'x')");
        app.update("insert into users (user_id, nickname, phone) values ('same2', '乙', '+86 138 0013 8000')");
        // both ends have these: one equal, one older at the mini-program, one newer there
        app.update("insert into users (user_id, nickname, updated_at) values ('both-equal', '同', now())");
        world.mini.edit("user", "both-equal", Map.of("nickname", "同", "language", "zh-CN"));
        world.mini.edit("user", "both-app", Map.of("nickname", "小程序旧", "language", "zh-CN"));
        app.update(
                "insert into users (user_id, nickname, updated_at) values ('both-app', '应用新', now() + interval '1 minute')");
        app.update("insert into users (user_id, nickname, updated_at) values ('both-mini', '应用旧', '2020-01-01')");
        world.mini.edit("user", "both-mini", Map.of("nickname", "小程序新", "language", "zh-CN"));
        for (int i = 1; i <= 50; i++) {
            world.mini.edit("user", "m" + i, Map.of("nickname", "小" + i));
        }
        world.mini.edit(
                "order", "mo", Map.of("user_id", "m1", "status", "paid", "payment_amount", new BigDecimal("9.90")));
        app.update("insert into orders (order_id, user_id, status, payment_amount) values ('ao', 'b1', 'paid', 5)");
        service = world.start(STILL);
    }

    @AfterAll
    static void end() throws Exception {
        world.close();
    }

    private static JsonNode begin(String body) throws Exception {
        var answer = call(service, "ops-key", "POST", "/backfills", body);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(202);
        return Json.read(answer.body());
    }

    private static JsonNode done(JsonNode run) {
        soon(() -> assertThat(get(service, "/backfills/" + run.path("run"))
                        .path("state")
                        .asText())
                .isEqualTo("done"));
        try {
            return get(service, "/backfills/" + run.path("run"));
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static void endsAreEqual() {
        soon(() -> {
            Map<String, JsonNode> mini = world.mini.all("user");
            assertThat(mini).hasSize(USERS + 5 + 50);
            for (Map<String, Object> row : app.queryForList("select user_id, nickname, phone from users")) {
                JsonNode there = mini.get(row.get("user_id"));
                assertThat(there.path("nickname").asText(null)).isEqualTo(row.get("nickname"));
            }
            assertThat(app.queryForObject("select count(*) from users", Long.class))
                    .isEqualTo(USERS + 5L + 50);
        });
    }

    @Test
    @Order(1)
    void aDryRunSaysWhatWouldChangeWhereAndChangesNothing() throws Exception {
        JsonNode run = done(begin("{\"entity\":\"user\",\"dry_run\":true}"));
        JsonNode counts = run.path("counts");
        assertThat(run.path("done").asLong()).isEqualTo(USERS + 5 + 50);
        assertThat(counts.path("only_app").asLong()).isEqualTo(USERS + 2);
        assertThat(counts.path("only_mini").asLong()).isEqualTo(50);
        assertThat(counts.path("equal").asLong()).isEqualTo(1);
        assertThat(counts.path("differs").asLong()).isEqualTo(2);
        assertThat(counts.path("same_person").asLong()).isEqualTo(1);
        assertThat(counts.path("at").path("mini").path("made").asLong()).isEqualTo(USERS + 2);
        assertThat(counts.path("at").path("app").path("made").asLong()).isEqualTo(50);
        assertThat(counts.path("at").path("app").path("changed").asLong()).isEqualTo(1);
        assertThat(counts.path("at")
                        .path("mini")
                        .path("fields")
                        .path("nickname")
                        .asLong())
                .isEqualTo(1);
        assertThat(app.queryForObject("select count(*) from sync.golden", Long.class))
                .isZero();
        assertThat(world.mini.all("user")).hasSize(53);

        JsonNode items =
                get(service, "/backfills/" + run.path("run") + "/differences").path("items");
        assertThat(items.findValuesAsText("id")).containsExactly("both-app", "both-mini", "same1");
        assertThat(items.path(0).path("fields").path("nickname").path("golden").asText())
                .isEqualTo("应用新");
        assertThat(items.path(1).path("fields").path("nickname").path("golden").asText())
                .isEqualTo("小程序新");
        assertThat(items.path(2).path("fields").path("phone").path("ids").toString())
                .isEqualTo("[\"same1\",\"same2\"]");
    }

    @Test
    @Order(2)
    void aBackfillIsCancelledAndResumedAfterARestartAndThrottled() throws Exception {
        JsonNode run = begin("{\"entity\":\"user\",\"rate\":500}");
        soon(() -> assertThat(get(service, "/backfills/" + run.path("run"))
                        .path("done")
                        .asLong())
                .isBetween(1L, USERS - 1L));
        assertThat(call(service, "ops-key", "DELETE", "/backfills/" + run.path("run"), null)
                        .statusCode())
                .isEqualTo(200);
        assertThat(call(service, "ops-key", "DELETE", "/backfills/" + run.path("run"), null)
                        .statusCode())
                .isEqualTo(409);
        JsonNode second = begin("{\"entity\":\"user\",\"rate\":1000}");
        soon(() -> assertThat(get(service, "/backfills/" + second.path("run"))
                        .path("done")
                        .asLong())
                .isPositive());
        world.stop(service);
        String after = app.queryForObject(
                "select after from sync.backfill where id = ?",
                String.class,
                second.path("run").asLong());
        assertThat(after).isNotEmpty();
        service = world.start(STILL);
        JsonNode ended = done(second);
        assertThat(ended.path("done").asLong()).isEqualTo(USERS + 5 + 50);
        assertThat(ended.path("rate").asLong()).isLessThanOrEqualTo(1000);
        assertThat(ended.path("total").asLong()).isGreaterThanOrEqualTo(USERS + 5);
        done(begin("{\"entity\":\"order\"}"));
        endsAreEqual();
        assertThat(world.mini.read("user", "both-app").path("nickname").asText())
                .isEqualTo("应用新");
        assertThat(app.queryForObject("select nickname from users where user_id = 'both-mini'", String.class))
                .isEqualTo("小程序新");
        soon(() -> assertThat(app.queryForList("select order_id from orders order by 1", String.class))
                .containsExactly("ao", "mo"));
        soon(() -> assertThat(world.mini.all("order").keySet()).containsExactly("ao", "mo"));
    }

    @Test
    @Order(3)
    void aSecondBackfillFindsNothingToDo() throws Exception {
        soon(() -> assertThat(app.queryForObject("select count(*) from sync.due", Long.class))
                .isZero());
        int before = world.mini.writes().size();
        JsonNode counts = done(begin("{\"entity\":\"user\"}")).path("counts");
        assertThat(counts.path("equal").asLong()).isEqualTo(USERS + 5 + 50);
        assertThat(counts.has("at")).isFalse();
        assertThat(world.mini.writes()).hasSize(before);
    }

    @Test
    @Order(4)
    void theWholeStateIsRebuiltFromBothEndsAndNoEditIsLost() throws Exception {
        world.stop(service);
        app.execute("drop schema sync cascade");
        // while there was no state, both ends went on
        app.update("update users set nickname = '应用改', updated_at = clock_timestamp() where user_id = 'b1'");
        app.update("insert into users (user_id, nickname) values ('b0', '应用添')");
        world.mini.edit("user", "b2", Map.of("nickname", "小程序改"));
        service = world.start(Map.of("FIRST_KEY", "20260131"));
        done(begin("{\"entity\":\"user\"}"));
        done(begin("{\"entity\":\"order\"}"));
        soon(() -> {
            assertThat(world.mini.read("user", "b1").path("nickname").asText()).isEqualTo("应用改");
            assertThat(world.mini.read("user", "b0").path("nickname").asText()).isEqualTo("应用添");
            assertThat(app.queryForObject("select nickname from users where user_id = 'b2'", String.class))
                    .isEqualTo("小程序改");
            assertThat(app.queryForObject("select nickname from users where user_id = 'both-mini'", String.class))
                    .isEqualTo("小程序新");
        });
        assertThat(world.mini.backwards()).isZero();
    }

    @Test
    @Order(5)
    void whatIsAskedForWronglyIsRefusedWithItsField() throws Exception {
        var answer = call(
                service,
                "ops-key",
                "POST",
                "/backfills",
                "{\"entity\":\"thing\",\"rate\":-1,\"dry_run\":1,\"fast\":true}");
        assertThat(answer.statusCode()).isEqualTo(422);
        assertThat(answer.body()).contains("/entity", "/rate", "/dry_run", "/fast");
        assertThat(call(service, "app-key", "POST", "/backfills", "{\"entity\":\"user\"}")
                        .statusCode())
                .isEqualTo(403);
        assertThat(call(service, "app-key", "GET", "/backfills/1", null).statusCode())
                .isEqualTo(403);
        assertThat(call(service, "ops-key", "GET", "/backfills/999999", null).statusCode())
                .isEqualTo(404);
    }

    @Test
    @Order(6)
    void whereThereIsNoListingADryRunSaysSo() throws Exception {
        world.mini.listings(false);
        try {
            JsonNode run = begin("{\"entity\":\"user\",\"dry_run\":true}");
            soon(() -> assertThat(get(service, "/backfills/" + run.path("run"))
                            .path("state")
                            .asText())
                    .isEqualTo("failed"));
            assertThat(get(service, "/backfills/" + run.path("run"))
                            .path("waits_for")
                            .asText())
                    .contains("404");
        } finally {
            world.mini.listings(true);
        }
    }
}
