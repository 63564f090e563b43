package dev.twinsync.capture;

import static dev.twinsync.capture.OwnWorld.running;
import static dev.twinsync.capture.OwnWorld.soon;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The log of a real database, with what breaks it: each has an outcome, and none is a silent gap. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class LogCaptureTest {

    private static final Map<String, Object> BY_LOG =
            Map.of("CAPTURE_APP", "log", "twinsync.capture.app.log.heartbeat", "1s");
    private static final String SLOT = "logcapture_app_users";

    private static OwnWorld world;
    private static JdbcTemplate app;
    private static ConfigurableApplicationContext service;

    @BeforeAll
    static void start() throws Exception {
        world = new OwnWorld("logcapture");
        app = world.app;
        app.update("insert into users (user_id, nickname) values ('before', '前')");
        app.execute("create table noise (n int)"); // which no log is read of
        service = world.start(BY_LOG);
        miniHas("before", "前");
    }

    @AfterAll
    static void end() throws Exception {
        world.close();
    }

    private static void user(String id, String nickname) {
        app.update("insert into users (user_id, nickname) values (?, ?)", id, nickname);
    }

    private static void miniHas(String id, String nickname) {
        soon(() -> assertThat(world.mini.read("user", id).path("nickname").asText())
                .isEqualTo(nickname));
    }

    private static void miniLost(String id) {
        soon(() -> assertThat(world.mini.read("user", id).path("deleted").asBoolean())
                .isTrue());
    }

    private static long flushed() {
        return app.queryForObject(
                "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = ?",
                Long.class,
                SLOT);
    }

    private static String lastGap(String entity) {
        return app
                .queryForList(
                        "select reason from sync.backfill where entity = ? order by id desc limit 1",
                        String.class,
                        entity)
                .stream()
                .findFirst()
                .orElse("none");
    }

    @Test
    @Order(1)
    void whatWasThereBeforeTheLogIsReadByKey() {
        assertThat(lastGap("user")).isEqualTo("the log is read for the first time");
        soon(() -> assertThat(running(service))
                .containsExactly("log-app-orders", "log-app-users", "sweep-app-orders", "sweep-app-users"));
    }

    @Test
    @Order(2)
    void insertsUpdatesKeyChangesAndDeletesAreToldAtOnce() {
        user("u1", "一");
        miniHas("u1", "一");
        app.update("update users set nickname = '二' where user_id = 'u1'"); // and updated_at stays
        miniHas("u1", "二");
        app.update("update users set user_id = 'u2' where user_id = 'u1'");
        miniHas("u2", "二");
        miniLost("u1");
        app.update("delete from users where user_id = 'u2'");
        miniLost("u2");
    }

    @Test
    @Order(3)
    void itemsEditedAloneAreAChangeOfTheirOrder() {
        app.update("insert into orders (order_id, user_id, status, payment_amount) values ('o1', 'before', 'paid', 2)");
        app.update("insert into order_items values ('o1', 1, 'a', '茶', 1, 2)");
        soon(() -> assertThat(world.mini
                        .read("order", "o1")
                        .path("items")
                        .path(0)
                        .path("title")
                        .asText())
                .isEqualTo("茶"));
        app.update("update order_items set title = '红茶' where order_id = 'o1'");
        soon(() -> assertThat(world.mini
                        .read("order", "o1")
                        .path("items")
                        .path(0)
                        .path("title")
                        .asText())
                .isEqualTo("红茶"));
        app.update("delete from order_items where order_id = 'o1'");
        soon(() -> assertThat(world.mini.read("order", "o1").path("items")).isEmpty());
    }

    @Test
    @Order(4)
    void whatWasRolledBackNeverWas() throws Exception {
        try (Connection other = world.server.connect(world.database);
                Statement statement = other.createStatement()) {
            other.setAutoCommit(false);
            statement.execute("insert into users (user_id, nickname) values ('never', '无')");
            other.rollback();
        }
        user("after-rollback", "有");
        miniHas("after-rollback", "有");
        assertThat(world.mini.read("user", "never")).isNull();
    }

    @Test
    @Order(5)
    void longTextsThatTheLogLeavesOutAreNoEdit() {
        String avatar = "http://example.com/" + "a1b2c3d4".repeat(240);
        app.update("alter table users alter avatar set storage external");
        app.update("insert into users (user_id, nickname, avatar) values ('toast', '长', ?)", avatar);
        miniHas("toast", "长");
        app.update("update users set nickname = '更长' where user_id = 'toast'");
        miniHas("toast", "更长");
        assertThat(world.mini.read("user", "toast").path("avatar").asText()).isEqualTo(avatar);
    }

    @Test
    @Order(6)
    void aTableThatChangesItsFormIsReadOn() {
        app.execute("alter table users add column hobby text");
        app.update("update users set hobby = '茶', nickname = '新' where user_id = 'before'");
        miniHas("before", "新");
    }

    @Test
    @Order(7)
    void aQuietTableHoldsBackNoLog() {
        soon(() -> assertThat(flushed()).isPositive());
        long before = app.queryForObject("select (pg_current_wal_lsn() - '0/0')::bigint", Long.class);
        app.execute("insert into noise select * from generate_series(1, 1000)");
        soon(() -> assertThat(flushed()).isGreaterThan(before));
    }

    @Test
    @Order(8)
    void anEngineThatDiedIsStartedAgain() {
        app.queryForList("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = ?", SLOT);
        user("after-death", "活");
        miniHas("after-death", "活");
        soon(() -> assertThat(service.getBean(Capture.class).troubles()).doesNotContainKey("log-app-users"));
    }

    @Test
    @Order(9)
    void oneThatLostItsLeaseStopsAndAnotherGoesOn() throws Exception {
        app.update("update sync.table_log set owner = 'another', lease_until = clock_timestamp() + interval '4 s' "
                + "where name = 'log-app-users'");
        user("taken-over", "换");
        soon(() -> assertThat(
                        app.queryForList("select 1 from pg_replication_slots where slot_name = ? and not active", SLOT))
                .isNotEmpty());
        ConfigurableApplicationContext second = world.start(BY_LOG);
        miniHas("taken-over", "换");
        world.stop(service);
        service = second;
        user("other-owner", "另");
        miniHas("other-owner", "另");
    }

    @Test
    @Order(10)
    void aDroppedSlotIsAGapAndAllKeysAreRead() {
        world.stop(service);
        app.queryForList("select pg_drop_replication_slot(?)", SLOT);
        app.update("update users set nickname = '漏' where user_id = 'before'"); // nothing but a reading can find it
        service = world.start(BY_LOG);
        miniHas("before", "漏");
        assertThat(lastGap("user")).contains("was dropped");
    }

    @Test
    @Tag("proof") // a gap as in aDroppedSlotIsAGapAndAllKeysAreRead, found in another way
    @Order(11)
    void aLogThatTheServerRemovedIsAGapAndAllKeysAreRead() {
        world.stop(service);
        app.update("update users set nickname = '丢' where user_id = 'before'");
        assertThat(flushed()).isPositive();
        app.execute("alter system set max_slot_wal_keep_size = '1MB'");
        app.queryForList("select pg_reload_conf()");
        try {
            // every try writes 16 MB of log
            await().pollInterval(Duration.ofSeconds(1))
                    .atMost(Duration.ofSeconds(60))
                    .untilAsserted(() -> {
                        app.execute("insert into noise values (1)");
                        app.queryForList("select pg_switch_wal()");
                        app.execute("checkpoint");
                        assertThat(app.queryForObject(
                                        "select wal_status from pg_replication_slots where slot_name = ?",
                                        String.class,
                                        SLOT))
                                .isEqualTo("lost");
                    });
        } finally {
            app.execute("alter system reset max_slot_wal_keep_size");
            app.queryForList("select pg_reload_conf()");
        }
        service = world.start(BY_LOG);
        miniHas("before", "丢");
        assertThat(lastGap("user")).contains("max_slot_wal_keep_size");
    }

    @Test
    @Tag("proof") // a gap as in aDroppedSlotIsAGapAndAllKeysAreRead, found in another way
    @Order(12)
    void aSlotThatSomeoneMovedOnIsAGap() {
        world.stop(service);
        app.update("update users set nickname = '跳' where user_id = 'before'");
        app.queryForList("select pg_replication_slot_advance(?, pg_current_wal_lsn())", SLOT);
        service = world.start(BY_LOG);
        miniHas("before", "跳");
        assertThat(lastGap("user")).contains("further");
    }

    @Test
    @Tag("proof") // a gap as in aDroppedSlotIsAGapAndAllKeysAreRead, found in another way
    @Order(13)
    void aPublicationThatWasDroppedIsMadeAgainAndAllKeysAreRead() {
        app.execute("drop publication " + SLOT);
        app.update("update users set nickname = '没' where user_id = 'before'");
        miniHas("before", "没");
    }

    @Test
    @Order(14)
    void aMassDeletionIsHeldBack() {
        app.update("insert into users (user_id) select 'mass' || n from generate_series(1, 60) n");
        soon(() -> assertThat(world.mini.read("user", "mass60")).isNotNull());
        soon(() -> assertThat(app.queryForObject(
                        "select count(*) from sync.base where system = 'app' and present and id like 'mass%'",
                        Long.class))
                .isEqualTo(60));
        app.update("delete from users where user_id like 'mass%'");
        Capture capture = service.getBean(Capture.class);
        soon(() -> assertThat(capture.brake("app", "user")).isPresent());
        // what the log gave first, before it was seen how many they are, may be as many as are never held back
        assertThat(world.mini.all("user").entrySet().stream()
                        .filter(user -> user.getKey().startsWith("mass"))
                        .filter(user -> user.getValue().path("deleted").asBoolean()))
                .hasSizeLessThanOrEqualTo(20);
        capture.release("app", "user");
        miniLost("mass1");
        miniLost("mass60");
    }

    @Test
    @Tag("proof") // a gap as in aDroppedSlotIsAGapAndAllKeysAreRead, found in another way
    @Order(15)
    void aTruncatedTableIsHeldBack() {
        app.update("insert into users (user_id) select 'cut' || n from generate_series(1, 60) n");
        soon(() -> assertThat(app.queryForObject(
                        "select count(*) from sync.base where system = 'app' and present and id like 'cut%'",
                        Long.class))
                .isEqualTo(60));
        app.execute("truncate users");
        soon(() ->
                assertThat(service.getBean(Capture.class).brake("app", "user")).isPresent());
        assertThat(world.mini.read("user", "cut1").path("deleted").asBoolean()).isFalse();
        soon(() -> assertThat(lastGap("user")).contains("truncated"));
    }

    @Test
    @Order(16)
    void aMissingGrantIsNamed() {
        app.execute("create role lesser login password 'lesser'");
        app.execute("grant select on all tables in schema public to lesser");
        try {
            LogSlot slots = new LogSlot(
                    new DriverManagerDataSource(world.server.url(world.database), "lesser", "lesser"), null);
            KeyColumns users = KeyColumns.of("public.users.user_id");
            assertThatThrownBy(() -> slots.check(users)).hasMessageContaining("alter role lesser replication");
            app.execute("alter role lesser replication");
            assertThatThrownBy(() -> slots.prepare("log-app-users", "lesser_app_users", users))
                    .hasMessageContaining("create publication lesser_app_users for table \"public\".\"users\"");
            assertThatThrownBy(() -> slots.check(KeyColumns.of("public.users.uid")))
                    .hasMessageContaining("public.users has no column uid");
            assertThatThrownBy(() -> slots.check(KeyColumns.of("public.people.uid")))
                    .hasMessageContaining("no table public.people");
            assertThatThrownBy(() -> slots.check(KeyColumns.of("public.order_items.sku")))
                    .hasMessageContaining("replica identity full");
        } finally {
            app.execute("drop owned by lesser");
            app.execute("drop role lesser");
        }
    }
}
