package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.proof.Anomaly;
import dev.twinsync.record.Json;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The whole way, through a real database, broker and API. */
class EndToEndTest {

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static Neighbours neighbours;
    private static MiniProgram mini;
    private static JdbcTemplate app;
    private static String url;
    private static int number;

    private String id;

    @BeforeAll
    static void start() {
        neighbours = Neighbours.get();
        mini = neighbours.mini;
        app = new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
        url = "http://127.0.0.1:" + neighbours.service().getEnvironment().getProperty("local.server.port");
    }

    @BeforeEach
    void freshRecord() {
        id = "e2e-" + ++number;
    }

    private static void soon(ThrowingRunnable check) {
        // what is not there yet is no failure of the check
        await().atMost(Duration.ofSeconds(60))
                .pollInterval(Duration.ofMillis(20))
                .ignoreExceptions()
                .untilAsserted(check);
    }

    private static HttpResponse<String> post(String key, String path, String body) throws Exception {
        return HTTP.send(
                HttpRequest.newBuilder(URI.create(url + path))
                        .header("Authorization", "Bearer " + key)
                        .header("Content-Type", "application/json")
                        .POST(BodyPublishers.ofString(body))
                        .build(),
                HttpResponse.BodyHandlers.ofString());
    }

    private static JsonNode get(String key, String path) throws Exception {
        HttpResponse<String> answer = HTTP.send(
                HttpRequest.newBuilder(URI.create(url + path))
                        .header("Authorization", "Bearer " + key)
                        .build(),
                HttpResponse.BodyHandlers.ofString());
        return Json.read(answer.body());
    }

    private void insertUser(String nickname) {
        app.update("insert into users (user_id, nickname) values (?, ?)", id, nickname);
        soon(() -> assertThat(mini.read("user", id)).isNotNull());
    }

    @Test
    void aUserMadeAtTheAppIsMadeAtTheMiniProgram() {
        app.update(
                "insert into users (user_id, nickname, phone, notifications) values (?, ' 张三 ', '138 0013 8000', '{\"order\":true}')",
                id);
        soon(() -> {
            JsonNode user = mini.read("user", id);
            assertThat(user).isNotNull();
            assertThat(user.path("nickname").asText()).isEqualTo("张三");
            assertThat(user.path("phone").asText()).isEqualTo("+8613800138000");
            assertThat(user.path("language").asText()).isEqualTo("zh-CN");
            assertThat(user.path("notifications").path("order").asBoolean()).isTrue();
        });
        // the app keeps its own spelling of what did not change
        assertThat(app.queryForObject("select phone from users where user_id = ?", String.class, id))
                .isEqualTo("138 0013 8000");
    }

    @Test
    @Anomaly(Anomaly.Of.A1)
    void anEditAtTheMiniProgramReachesTheAppAndItsEchoChangesNothing() throws Exception {
        insertUser("前");
        soon(() -> assertThat(get("ops-key", "/users/" + id)
                        .path("systems")
                        .path("mini")
                        .path("observed_at")
                        .isTextual())
                .isTrue());
        mini.edit("user", id, Map.of("nickname", "后"));
        soon(() -> assertThat(app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                .isEqualTo("后"));
        soon(() -> assertThat(get("ops-key", "/users/" + id)
                        .path("systems")
                        .path("app")
                        .path("held")
                        .path("nickname")
                        .asText())
                .isEqualTo("后"));
        long version = get("ops-key", "/users/" + id).path("version").asLong();
        long writes = mini.writes().stream().filter(w -> w.id().equals(id)).count();
        // another record's whole round trip later, nothing more has happened to this one
        String first = id;
        id = id + "-later";
        insertUser("晚");
        assertThat(get("ops-key", "/users/" + first).path("version").asLong()).isEqualTo(version);
        assertThat(mini.writes().stream().filter(w -> w.id().equals(first)).count())
                .isEqualTo(writes);
        JsonNode timeline = get("ops-key", "/users/" + first + "/timeline").path("items");
        assertThat(timeline.findValuesAsText("kind")).contains("merged", "delivered");
    }

    @Test
    void pushesOfTheTwoBackendsCross() throws Exception {
        app.update("insert into users (user_id, nickname) values (?, '旧')", id);
        app.update(
                "insert into orders (order_id, user_id, status, payment_amount) values (?, ?, 'pending_payment', 250)",
                id,
                id);
        soon(() -> assertThat(mini.read("order", id)).isNotNull());

        assertThat(post(
                                "mini-key",
                                "/sync_user_data",
                                "{\"user_id\":\"" + id
                                        + "\",\"data\":{\"nickname\":\"张三\",\"avatar\":\"http://example.com/avatar.jpg\",\"language\":\"zh-CN\"}}")
                        .statusCode())
                .isEqualTo(202);
        assertThat(post(
                                "app-key",
                                "/sync_order_data",
                                "{\"order_id\":\"" + id
                                        + "\",\"data\":{\"status\":\"已支付\",\"payment_amount\":199.99,\"shipping_info\":{\"carrier\":\"顺丰\",\"tracking_number\":\"1234567890\"}}}")
                        .statusCode())
                .isEqualTo(202);

        soon(() -> {
            Map<String, Object> user = app.queryForMap("select * from users where user_id = ?", id);
            assertThat(user.get("nickname")).isEqualTo("张三");
            assertThat(mini.read("user", id).path("avatar").asText()).isEqualTo("http://example.com/avatar.jpg");
            Map<String, Object> order = app.queryForMap("select * from orders where order_id = ?", id);
            assertThat(order.get("status")).isEqualTo("paid");
            assertThat(order.get("payment_amount").toString()).isEqualTo("199.99");
            assertThat(order.get("carrier")).isEqualTo("SF");
            JsonNode there = mini.read("order", id);
            assertThat(there.path("status").asText()).isEqualTo("paid");
            assertThat(there.path("payment_amount").decimalValue().toPlainString())
                    .isEqualTo("199.99");
            assertThat(there.path("shipping_info").path("tracking_number").asText())
                    .isEqualTo("1234567890");
        });
    }

    @Test
    void anOrderFirstHeardOfWithoutItsUserWaitsAndSaysSo() throws Exception {
        assertThat(post(
                                "mini-key",
                                "/sync_order_data",
                                "{\"order_id\":\"" + id + "\",\"data\":{\"status\":\"paid\",\"payment_amount\":1}}")
                        .statusCode())
                .isEqualTo(202);
        soon(() -> assertThat(
                        get("ops-key", "/orders/" + id).path("waiting_for").toString())
                .isEqualTo("[\"user_id\"]"));
        assertThat(get("ops-key", "/dead-letters?key=" + id).path("items")).isEmpty();
        post("mini-key", "/sync_order_data", "{\"order_id\":\"" + id + "\",\"data\":{\"user_id\":\"u\"}}");
        soon(() -> assertThat(app.queryForList("select 1 from orders where order_id = ?", id))
                .hasSize(1));
        soon(() ->
                assertThat(get("ops-key", "/orders/" + id).path("waiting_for")).isEmpty());
    }

    @Test
    void anOrderWithItsItemsCrossesBothWays() {
        mini.edit(
                "order",
                id,
                Map.of(
                        "user_id",
                        "u",
                        "status",
                        "paid",
                        "payment_amount",
                        new java.math.BigDecimal("30.50"),
                        "items",
                        List.of(Map.of(
                                "line_no",
                                1,
                                "sku",
                                "a",
                                "title",
                                "茶",
                                "quantity",
                                2,
                                "unit_price",
                                new java.math.BigDecimal("15.25")))));
        soon(() -> assertThat(app.queryForList("select title from order_items where order_id = ?", String.class, id))
                .containsExactly("茶"));
        app.update("update order_items set title = '红茶' where order_id = ?", id);
        app.update("update orders set updated_at = clock_timestamp() where order_id = ?", id);
        soon(() -> assertThat(mini.read("order", id)
                        .path("items")
                        .path(0)
                        .path("title")
                        .asText())
                .isEqualTo("红茶"));
    }

    @Test
    @Anomaly(Anomaly.Of.A4)
    void aHardDeleteIsFoundAndDelivered() {
        insertUser("走");
        app.update("delete from users where user_id = ?", id);
        soon(() -> assertThat(mini.read("user", id).path("deleted").asBoolean()).isTrue());
    }

    @Test
    void aRefusedOrderIsADeadLetterAndMendedItArrives() throws Exception {
        mini.refuse("order", id, 422);
        app.update("insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", id);
        soon(() -> assertThat(
                        get("ops-key", "/dead-letters?state=open&key=" + id).path("items"))
                .hasSize(1));
        long letter = get("ops-key", "/dead-letters?key=" + id)
                .path("items")
                .path(0)
                .path("id")
                .asLong();
        JsonNode detail = get("ops-key", "/dead-letters/" + letter);
        assertThat(detail.path("error").path("status").asInt()).isEqualTo(422);
        assertThat(detail.path("route").asText()).isEqualTo("deliver-mini-orders");

        mini.allow("order", id);
        assertThat(post("ops-key", "/dead-letters/" + letter + "/retry", "{}").statusCode())
                .isEqualTo(202);
        soon(() -> assertThat(
                        get("ops-key", "/dead-letters/" + letter).path("state").asText())
                .isEqualTo("resolved"));
        assertThat(mini.read("order", id).path("status").asText()).isEqualTo("paid");
    }

    @Test
    void aPhoneThatCantBeUsedIsALetterAndTheRestCrosses() throws Exception {
        app.update("insert into users (user_id, nickname, phone) values (?, '坏', '12345')", id);
        soon(() -> assertThat(mini.read("user", id)).isNotNull());
        assertThat(mini.read("user", id).has("phone")).isFalse();
        soon(() -> assertThat(
                        get("ops-key", "/dead-letters?state=open&key=" + id).path("items"))
                .hasSize(1));
        app.update("update users set phone = '13800138000', updated_at = clock_timestamp() where user_id = ?", id);
        soon(() -> assertThat(mini.read("user", id).path("phone").asText()).isEqualTo("+8613800138000"));
        soon(() -> assertThat(
                        get("ops-key", "/dead-letters?state=open&key=" + id).path("items"))
                .isEmpty());
    }

    @Test
    void anOutageEndsWithoutLetters() throws Exception {
        insertUser("一");
        mini.always(503);
        app.update("update users set nickname = '二', updated_at = clock_timestamp() where user_id = ?", id);
        soon(() -> assertThat(neighbours
                        .service()
                        .getBean(dev.twinsync.flow.Outages.class)
                        .outages())
                .isNotEmpty());
        mini.always(null);
        soon(() -> assertThat(mini.read("user", id).path("nickname").asText()).isEqualTo("二"));
        soon(() -> assertThat(neighbours
                        .service()
                        .getBean(dev.twinsync.flow.Outages.class)
                        .outages())
                .isEmpty());
        assertThat(get("ops-key", "/dead-letters?key=" + id).path("items")).isEmpty();
    }

    @Test
    @Anomaly({Anomaly.Of.A11, Anomaly.Of.A12})
    void aWriteThatWasAppliedButNotAnsweredHasOneEffect() {
        insertUser("甲");
        mini.next(MiniProgram.Fault.APPLIED_THEN_RESET);
        app.update("update users set nickname = '乙', updated_at = clock_timestamp() where user_id = ?", id);
        soon(() -> assertThat(mini.read("user", id).path("nickname").asText()).isEqualTo("乙"));
        app.update("update users set nickname = '丙', updated_at = clock_timestamp() where user_id = ?", id);
        soon(() -> assertThat(mini.read("user", id).path("nickname").asText()).isEqualTo("丙"));
        assertThat(mini.violations()).isEmpty();
        assertThat(mini.backwards()).isZero();
    }
}
