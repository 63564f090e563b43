package dev.twinsync.capture;

import static dev.twinsync.capture.OwnWorld.call;
import static dev.twinsync.capture.OwnWorld.get;
import static dev.twinsync.capture.OwnWorld.running;
import static dev.twinsync.capture.OwnWorld.soon;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Json;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;

/** One scenario, captured by each scheme, and the switch between them. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class CaptureSchemesTest {

    /** Rows of the one large transaction. */
    private static final int LARGE = Integer.getInteger("twinsync.large-transaction", 3_000);

    private static OwnWorld world;
    private static JdbcTemplate app;
    private static ConfigurableApplicationContext service;
    private static KafkaProducer<String, String> feed;
    private static final Map<String, Map<String, String>> users = new HashMap<>();
    private static final Map<String, Map<String, String>> orders = new HashMap<>();

    @BeforeAll
    static void start() throws Exception {
        world = new OwnWorld("schemes");
        app = world.app;
        Properties kafka = new Properties();
        kafka.put("bootstrap.servers", world.broker.address());
        feed = new KafkaProducer<>(kafka, new StringSerializer(), new StringSerializer());
        service = world.start(Map.of());
    }

    @AfterAll
    static void end() throws Exception {
        feed.close();
        world.close();
    }

    // -- the scenario; where a feed is read, every statement is told to it too

    private static void user(String sql, String id) {
        app.update(sql.replace(":id", "'" + id + "'"));
        debezium("users", "user_id", id, sql.startsWith("delete"));
    }

    private static void order(String sql, String id) {
        app.update(sql.replace(":id", "'" + id + "'"));
        canal(sql.contains("order_items") ? "order_items" : "orders", id, sql);
    }

    /** Where no feed is read, nobody writes one. */
    private static boolean fed;

    private static void tell(ProducerRecord<String, String> message) {
        if (fed) {
            feed.send(message);
        }
    }

    private static void debezium(String table, String column, String id, boolean gone) {
        String topic = "app.public." + table;
        String key = "{\"" + column + "\":\"" + id + "\"}";
        if (gone) {
            tell(new ProducerRecord<>(topic, key, null)); // a tombstone alone
            return;
        }
        String envelope = "{\"before\":null,\"after\":" + key + ",\"source\":{\"schema\":\"public\",\"table\":\""
                + table + "\"},\"op\":\"u\"}";
        // every other one carries its schema
        tell(new ProducerRecord<>(
                topic, key, id.hashCode() % 2 == 0 ? envelope : "{\"schema\":{},\"payload\":" + envelope + "}"));
    }

    private static void canal(String table, String id, String sql) {
        String type = sql.split(" ")[0].toUpperCase(java.util.Locale.ROOT);
        tell(new ProducerRecord<>(
                "app.public." + table,
                "{\"data\":[{\"order_id\":\"" + id + "\"}],\"old\":null,\"database\":\"app\",\"table\":\"" + table
                        + "\",\"type\":\"" + type + "\",\"isDdl\":false}"));
    }

    private static void scenario(String p) throws Exception {
        user(
                "insert into users (user_id, nickname, phone, notifications) values (:id, ' 张三 ', '138 0013 8000', "
                        + "'{\"order\": true}')",
                p + "a");
        user("insert into users (user_id, nickname) values (:id, '走')", p + "gone");
        user("insert into users (user_id, nickname) values (:id, '隐')", p + "hidden");
        user("insert into users (user_id, nickname, phone) values (:id, '坏', '12345')", p + "unusable");
        order(
                "insert into orders (order_id, user_id, status, payment_amount, created_at) values (:id, 'u', "
                        + "'pending_payment', 30.5, '2026-01-01T00:00:00Z')",
                p + "o");
        order("insert into order_items values (:id, 1, 'a', '茶', 2, 15.25)", p + "o");
        order(
                "insert into orders (order_id, user_id, status, payment_amount, created_at) values (:id, 'u', 'paid', 1, "
                        + "'2026-01-01T00:00:00Z')",
                p + "items");
        order("insert into order_items values (:id, 1, 'a', '旧', 1, 1)", p + "items");
        order(
                "insert into orders (order_id, user_id, status, payment_amount, created_at) values (:id, 'u', 'paid', 1, "
                        + "'2026-01-01T00:00:00Z')",
                p + "dropped");
        seen(p, "user", "gone", "hidden", "a", "unusable");
        seen(p, "order", "o", "items", "dropped");
        // a transaction that commits long after others with later times
        try (Connection late = world.server.connect(world.database);
                Statement statement = late.createStatement()) {
            late.setAutoCommit(false);
            statement.execute("insert into users (user_id, nickname) values ('" + p + "late', '迟')");
            user("insert into users (user_id, nickname) values (:id, '早')", p + "early");
            seen(p, "user", "early");
            late.commit();
            debezium("users", "user_id", p + "late", false);
        }
        // a status run
        for (String status : List.of("paid", "shipped", "delivered")) {
            order(
                    "update orders set status = '" + status + "', " + status + "_at = '2026-01-02T00:00:00Z', "
                            + "updated_at = clock_timestamp() where order_id = :id",
                    p + "o");
        }
        for (int i = 0; i < 50; i++) {
            user(
                    "update users set nickname = '第" + i + "', updated_at = clock_timestamp() where user_id = :id",
                    p + "a");
        }
        order("update order_items set title = '新' where order_id = :id", p + "items");
        user("update users set deleted = true, updated_at = clock_timestamp() where user_id = :id", p + "hidden");
        user("delete from users where user_id = :id", p + "gone");
        order("delete from orders where order_id = :id", p + "dropped");
        app.update(
                "insert into users (user_id, nickname) select ? || 'large' || n, '众' || n from generate_series(1, ?) n",
                p,
                LARGE);
        for (int i = 1; i <= LARGE; i++) {
            debezium("users", "user_id", p + "large" + i, false);
        }
        feed.flush();
    }

    private static void seen(String p, String entity, String... ids) {
        soon(() -> assertThat(world.golden(entity, p).keySet()).contains(ids));
    }

    private static void settled(String p) {
        await().atMost(Duration.ofMinutes(5)).untilAsserted(() -> assertThat(app.queryForObject(
                        "select count(*) from sync.golden where entity = 'user' and id like ?", Long.class, p + "%"))
                .isEqualTo(LARGE + 6L));
        soon(() -> {
            Map<String, String> goldenUsers = world.golden("user", p);
            assertThat(goldenUsers.get("gone")).contains("\"deleted\": true");
            assertThat(goldenUsers.get("hidden")).contains("\"deleted\": true");
            assertThat(goldenUsers.get("a")).contains("第49");
            Map<String, String> goldenOrders = world.golden("order", p);
            assertThat(goldenOrders.get("o")).contains("delivered");
            assertThat(goldenOrders.get("dropped")).contains("\"deleted\": true");
        });
    }

    private static void captured(String scheme, String p) throws Exception {
        scenario(p);
        settled(p);
        users.put(scheme, world.golden("user", p));
        orders.put(scheme, world.golden("order", p));
    }

    @Test
    @Order(1)
    void pollingSeesEverythingButItemsEditedWithoutTheirOrder() throws Exception {
        captured("poll", "p-");
        assertThat(orders.get("poll").get("items")).contains("旧");
        // once the order is touched, polling sees it; verification would have found it without that
        app.update("update orders set updated_at = clock_timestamp() where order_id = 'p-items'");
        soon(() -> assertThat(world.golden("order", "p-").get("items")).contains("新"));
        orders.put("poll", world.golden("order", "p-"));
    }

    @Test
    @Order(2)
    void theLogGivesTheSameGoldenRecords() throws Exception {
        world.switchTo(service, "log");
        soon(() -> assertThat(running(service))
                .containsExactly("log-app-orders", "log-app-users", "sweep-app-orders", "sweep-app-users"));
        captured("log", "l-");
        soon(() -> assertThat(world.golden("order", "l-").get("items")).contains("新"));
        orders.put("log", world.golden("order", "l-"));
        assertThat(users.get("log")).isEqualTo(users.get("poll"));
        assertThat(orders.get("log")).isEqualTo(orders.get("poll"));
    }

    @Test
    @Order(3)
    void aFeedWhoseTopicsAreMissingIsRefusedAndNamesThem() throws Exception {
        var answer = call(
                service, "ops-key", "POST", "/capture/app", "{\"scheme\":\"feed\",\"reason\":\"they have Debezium\"}");
        assertThat(answer.statusCode()).isEqualTo(409);
        assertThat(answer.body()).contains("app.public.users").contains("twinsync.capture.app.feed");
        assertThat(get(service, "/capture/app").path("scheme").asText()).isEqualTo("log");
    }

    @Test
    @Order(4)
    void aFeedGivesTheSameGoldenRecords() throws Exception {
        topicsOfTheFeed();
        world.switchTo(service, "feed");
        fed = true;
        soon(() -> assertThat(app.queryForList("select slot_name from pg_replication_slots where database = 'schemes'"))
                .isEmpty());
        captured("feed", "f-");
        soon(() -> assertThat(world.golden("order", "f-").get("items")).contains("新"));
        orders.put("feed", world.golden("order", "f-"));
        assertThat(users.get("feed")).isEqualTo(users.get("poll"));
        assertThat(orders.get("feed")).isEqualTo(orders.get("poll"));
    }

    @Test
    @Order(5)
    void aMessageOfTheFeedInNoKnownFormIsALetterAndHoldsUpNothing() throws Exception {
        feed.send(new ProducerRecord<>("app.public.users", "key", "what is this"))
                .get();
        user("insert into users (user_id, nickname) values (:id, '后')", "f-behind");
        soon(() -> assertThat(world.golden("user", "f-").get("behind")).contains("后"));
        soon(() -> {
            JsonNode letters = get(service, "/dead-letters?state=open&route=feed-app-users")
                    .path("items");
            assertThat(letters).hasSize(1);
            assertThat(letters.path(0).path("error").path("message").asText()).contains("not JSON");
        });
    }

    @Test
    @Order(6)
    void aSwitchIsKeptOverARestartAndBeatsTheEnvironmentUntilItIsForgotten() throws Exception {
        app.update(
                "insert into sync.flow_stop (flow, state, who, reason) values ('poll-app-users', 'stopped', 'op', 'moved')");
        world.stop(service);
        service = world.start(Map.of("CAPTURE_APP", "poll"));
        soon(() -> assertThat(running(service)).contains("feed-app-orders", "feed-app-users"));
        JsonNode told = get(service, "/capture/app");
        assertThat(told.path("decided_by").asText()).isEqualTo("switch");
        assertThat(told.path("environment").asText()).isEqualTo("poll");
        call(service, "ops-key", "DELETE", "/capture/app", null);
        // what a person has stopped stays so until a person starts it
        soon(() ->
                assertThat(running(service)).containsExactly("poll-app-orders", "sweep-app-orders", "sweep-app-users"));
        app.update("delete from sync.flow_stop");
        soon(() -> assertThat(running(service))
                .containsExactly("poll-app-orders", "poll-app-users", "sweep-app-orders", "sweep-app-users"));
        user("insert into users (user_id, nickname) values (:id, '回')", "f-back");
        seen("f-", "user", "back");
    }

    @Test
    @Order(7)
    void onlyOpsMaySwitchAndOnlyToASchemeThatThereIs() throws Exception {
        assertThat(call(service, "app-key", "GET", "/capture/app", null).statusCode())
                .isEqualTo(403);
        assertThat(call(service, "app-key", "POST", "/capture/app", "{\"scheme\":\"log\"}")
                        .statusCode())
                .isEqualTo(403);
        var answer = call(service, "ops-key", "POST", "/capture/app", "{\"scheme\":\"guess\"}");
        assertThat(answer.statusCode()).isEqualTo(422);
        assertThat(answer.body()).contains("/scheme").contains("poll");
        assertThat(call(service, "ops-key", "POST", "/capture/elsewhere", "{\"scheme\":\"log\"}")
                        .statusCode())
                .isEqualTo(404);
        assertThat(get(service, "/capture/mini").path("choices").toString()).isEqualTo("[\"poll\",\"none\"]");
    }

    @Test
    @Order(8)
    void switchingToAndFroUnderLoadLosesNothingAndDoesNothingTwice() throws Exception {
        Set<String> made = new TreeSet<>();
        int number = 0;
        for (String scheme : List.of("log", "poll", "log", "poll")) {
            call(service, "ops-key", "POST", "/capture/app", "{\"scheme\":\"" + scheme + "\",\"reason\":\"a test\"}");
            do {
                for (int i = 0; i < 20; i++) {
                    String id = "s-" + ++number;
                    app.update("insert into users (user_id, nickname) values (?, ?)", id, id);
                    made.add(id);
                }
            } while (!get(service, "/capture/app").path("running").asText().equals(scheme));
        }
        soon(() -> assertThat(world.mini.all("user").keySet()).containsAll(made));
        Map<String, Long> writes = new TreeMap<>();
        world.mini.writes().stream()
                .filter(write -> write.id().startsWith("s-"))
                .forEach(write -> writes.merge(write.id(), 1L, Long::sum));
        assertThat(writes.values()).containsOnly(1L);
        assertThat(world.mini.backwards()).isZero();
        assertThat(Json.text(writes.keySet())).isEqualTo(Json.text(made));
    }

    /** No recorded messages: Kafka Connect in a process of its own, with Debezium's connector, writes the feed. */
    @Test
    @Order(9)
    @Tag("proof")
    void aFeedByKafkaConnectGivesTheSameGoldenRecords(@TempDir Path folder) throws Exception {
        fed = false;
        if (users.isEmpty()) {
            // by itself, as the proof runs it: with as large a transaction as that asks for
            pollingSeesEverythingButItemsEditedWithoutTheirOrder();
            theLogGivesTheSameGoldenRecords();
            topicsOfTheFeed();
        }
        Process connect = connect(folder);
        try {
            await("the connector streams")
                    .atMost(Duration.ofMinutes(2))
                    .until(() -> connect.isAlive()
                            && app.queryForObject(
                                            "select count(*) from pg_replication_slots where slot_name = 'connect' and active",
                                            Long.class)
                                    == 1);
            world.switchTo(service, "feed");
            captured("connect", "c-");
            soon(() -> assertThat(world.golden("order", "c-").get("items")).contains("新"));
            orders.put("connect", world.golden("order", "c-"));
            assertThat(users.get("connect")).isEqualTo(users.get("poll"));
            assertThat(orders.get("connect")).isEqualTo(orders.get("poll"));
            JsonNode letters = get(service, "/dead-letters?state=open&route=feed-app-users")
                    .path("items");
            assertThat(letters).as("none but the one of a test before").hasSizeLessThan(2);
        } finally {
            world.switchTo(service, "poll");
            connect.destroy();
            connect.waitFor();
            app.execute("select pg_drop_replication_slot('connect')");
        }
    }

    private static void topicsOfTheFeed() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", world.broker.address()))) {
            List<NewTopic> topics = new ArrayList<>();
            for (String table : List.of("users", "orders", "order_items")) {
                topics.add(new NewTopic("app.public." + table, 2, (short) 1));
            }
            admin.createTopics(topics).all().get();
        }
    }

    /** What the README says to write to Kafka Connect, and no more. */
    private static Process connect(Path folder) throws Exception {
        Properties worker = new Properties();
        worker.put("bootstrap.servers", world.broker.address());
        worker.put("key.converter", "org.apache.kafka.connect.json.JsonConverter");
        worker.put("value.converter", "org.apache.kafka.connect.json.JsonConverter");
        worker.put("offset.storage.file.filename", folder.resolve("offsets").toString());
        worker.put("listeners", "http://127.0.0.1:0");
        Properties connector = new Properties();
        connector.put("name", "app");
        connector.put("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        java.net.URI url = java.net.URI.create(world.server.url(world.database).substring("jdbc:".length()));
        connector.put("database.hostname", url.getHost());
        connector.put("database.port", String.valueOf(url.getPort()));
        connector.put("database.user", "postgres");
        connector.put("database.password", "postgres");
        connector.put("database.dbname", world.database);
        connector.put("topic.prefix", "app");
        connector.put("plugin.name", "pgoutput");
        connector.put("slot.name", "connect");
        connector.put("publication.name", "connect");
        connector.put("publication.autocreate.mode", "filtered");
        connector.put("table.include.list", "public.users,public.orders,public.order_items");
        connector.put("snapshot.mode", "no_data");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                "org.apache.kafka.connect.cli.ConnectStandalone"));
        for (Map.Entry<String, Properties> file :
                List.of(Map.entry("worker.properties", worker), Map.entry("connector.properties", connector))) {
            Path path = folder.resolve(file.getKey());
            try (Writer writer = Files.newBufferedWriter(path)) {
                file.getValue().store(writer, null);
            }
            command.add(path.toString());
        }
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(Path.of("target", "connect.log").toFile())
                .start();
    }
}
