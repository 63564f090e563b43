package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.record.Json;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** What can't be used is refused with the field named, and what merely looks dangerous arrives as it was written. */
class BadInputTest {

    /** A malformed push, and what its answer has to name. */
    private record Bad(String entity, String body, int status, String named) {}

    private final Caller caller = new Caller(Neighbours.get().service());

    private static Bad user(String data, String named) {
        return new Bad("user", "{\"user_id\":\"bad\",\"data\":" + data + "}", 422, named);
    }

    private static Bad order(String data, String named) {
        return new Bad("order", "{\"order_id\":\"bad\",\"data\":" + data + "}", 422, named);
    }

    private static Bad item(String member, String value) {
        Map<String, String> members = new LinkedHashMap<>(
                Map.of("line_no", "1", "sku", "\"a\"", "title", "\"b\"", "quantity", "1", "unit_price", "1"));
        if (value == null) {
            members.remove(member);
        } else {
            members.put(member, value);
        }
        List<String> written = new ArrayList<>();
        members.forEach((name, text) -> written.add('"' + name + "\":" + text));
        return order("{\"items\":[{" + String.join(",", written) + "}]}", "/data/items/0/" + member);
    }

    private static Bad raw(String body, int status, String named) {
        return new Bad("user", body, status, named);
    }

    private static final List<Bad> BAD = List.of(
            // no JSON, or not one object
            raw("", 400, "JSON"),
            raw("{", 400, "JSON"),
            raw("null", 400, "object"),
            raw("[]", 400, "object"),
            raw("\"text\"", 400, "object"),
            raw("42", 400, "object"),
            raw("{\"user_id\":\"bad\",\"data\":{}} {}", 400, "JSON"),
            raw("{\"user_id\":\"bad\",\"data\":{},}", 400, "JSON"),
            raw("{'user_id':'bad','data':{}}", 400, "JSON"),
            raw("\uFEFF{\"user_id\":\"bad\",\"data\":{}}", 400, "JSON"),
            raw("{\"user_id\":\"bad\",\"data\":{\"nickname\":NaN}}", 400, "JSON"),
            raw("{\"user_id\":\"bad\",\"user_id\":\"bad\",\"data\":{}}", 400, "twice"),
            raw("{\"user_id\":\"bad\",\"data\":{\"nickname\":\"a\",\"nickname\":\"b\"}}", 400, "twice"),
            raw("{\"user_id\":\"bad\",\"data\":" + "[".repeat(100_000), 400, "deep"),
            raw("{\"user_id\":\"bad\",\"data\":{\"nickname\":" + "1".repeat(5000) + "}}", 400, "long"),
            raw("<user><user_id>bad</user_id></user>", 400, "JSON"),
            raw("user_id=bad&nickname=a", 400, "JSON"),
            // the envelope
            raw("{}", 422, "/user_id"),
            raw("{\"user_id\":\"bad\"}", 422, "/data"),
            raw("{\"data\":{\"nickname\":\"a\"}}", 422, "/user_id"),
            raw("{\"user_id\":123456,\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":null,\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"a/b\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"a\\u0000b\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"a\\nb\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"\\ud83d\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"" + "x".repeat(65) + "\",\"data\":{}}", 422, "/user_id"),
            raw("{\"user_id\":\"bad\",\"data\":null}", 422, "/data"),
            raw("{\"user_id\":\"bad\",\"data\":[]}", 422, "/data"),
            raw("{\"user_id\":\"bad\",\"data\":\"nickname\"}", 422, "/data"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"force\":true}", 422, "/force"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"\\ud800\":true}", 422, "known are"),
            raw("{\"user_id\":\"bad\",\"data\":{\"user_id\":\"other\"}}", 422, "/data/user_id"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":\"yesterday\"}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":\"2026-01-31T08:00:00\"}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":1769817600}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":\"2026-02-30T08:00:00Z\"}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":\"infinity\"}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":\"+292278994-08-17T07:12:55Z\"}", 422, "/updated_at"),
            raw("{\"user_id\":\"bad\",\"data\":{},\"updated_at\":{}}", 422, "/updated_at"),
            // a user's fields
            user("{\"nick\":\"a\"}", "/data/nick"),
            user("{\"nickname\":1}", "/data/nickname"),
            user("{\"nickname\":{\"a\":1}}", "/data/nickname"),
            user("{\"nickname\":\"" + "名".repeat(65) + "\"}", "/data/nickname"),
            user("{\"nickname\":\"a\\u0000\"}", "/data/nickname"),
            user("{\"nickname\":\"\\udc00\"}", "/data/nickname"),
            user("{\"avatar\":\"javascript:alert(1)\"}", "/data/avatar"),
            user("{\"avatar\":\"//example.com/a.jpg\"}", "/data/avatar"),
            user("{\"avatar\":\"http://\"}", "/data/avatar"),
            user("{\"avatar\":\"https://example.com/" + "a".repeat(2048) + "\"}", "/data/avatar"),
            user("{\"phone\":\"12345\"}", "/data/phone"),
            user("{\"phone\":13800138000}", "/data/phone"),
            user("{\"phone\":\"\"}", "/data/phone"),
            user("{\"phone\":\"010-62781234\"}", "/data/phone"),
            user("{\"phone\":\"+8613800138000;ext=1\"}", "/data/phone"),
            user("{\"language\":\"not a language\"}", "/data/language"),
            user("{\"language\":\"\"}", "/data/language"),
            user("{\"notifications\":true}", "/data/notifications"),
            user("{\"notifications\":null}", "/data/notifications"),
            user("{\"notifications\":{\"order\":\"yes\"}}", "/data/notifications/order"),
            user("{\"notifications\":{\"\":true}}", "/data/notifications/"),
            user("{\"notifications\":{\"a\\u0000\":true}}", "/data/notifications/a"),
            user("{\"notifications\":{\"\\ud800\":true}}", "/data/notifications/"),
            user("{\"deleted\":1}", "/data/deleted"),
            user("{\"deleted\":\"true\"}", "/data/deleted"),
            user("{\"\":1}", "/data/"),
            user("{\"\\ud800\":1}", "/data/"),
            // an order's
            order("{\"status\":\"done\"}", "/data/status"),
            order("{\"status\":3}", "/data/status"),
            order("{\"payment_amount\":\"199.99\"}", "/data/payment_amount"),
            order("{\"payment_amount\":-0.01}", "/data/payment_amount"),
            order("{\"payment_amount\":0.001}", "/data/payment_amount"),
            order("{\"payment_amount\":1e400}", "/data/payment_amount"),
            order("{\"payment_amount\":1e-400}", "/data/payment_amount"),
            order("{\"payment_amount\":12345678901234.99}", "/data/payment_amount"),
            order("{\"payment_amount\":true}", "/data/payment_amount"),
            order("{\"currency\":\"RMB2\"}", "/data/currency"),
            order("{\"currency\":\"XXXX\"}", "/data/currency"),
            order("{\"user_id\":7}", "/data/user_id"),
            order("{\"items\":{}}", "/data/items"),
            order("{\"items\":[1]}", "/data/items/0"),
            order("{\"items\":[{}]}", "/data/items/0"),
            item("line_no", "-1"),
            item("line_no", "1.5"),
            item("line_no", "\"1\""),
            item("line_no", "9223372036854775808"),
            item("sku", null),
            item("sku", "null"),
            item("title", "[]"),
            item("quantity", "0"),
            item("quantity", "1e10"),
            item("unit_price", "\"1\""),
            item("unit_price", "0.999"),
            item("discount", "1"),
            order(
                    "{\"items\":["
                            + "{\"line_no\":1,\"sku\":\"a\",\"title\":\"b\",\"quantity\":1,\"unit_price\":1},".repeat(2)
                            + "{\"line_no\":2,\"sku\":\"a\",\"title\":\"b\",\"quantity\":1,\"unit_price\":1}]}",
                    "/data/items/1/line_no"),
            order("{\"shipping_info\":\"SF\"}", "/data/shipping_info"),
            order("{\"shipping_info\":{\"courier\":\"SF\"}}", "/data/shipping_info/courier"),
            order("{\"paid_at\":\"2026-01-31 08:00:00\"}", "/data/paid_at"),
            order("{\"paid_at\":\"2026-01-31T08:00:00\"}", "/data/paid_at"),
            order("{\"paid_at\":1769817600000}", "/data/paid_at"),
            order("{\"paid_at\":\"+10000-01-01T00:00:00Z\"}", "/data/paid_at"),
            order("{\"created_at\":\"2026-13-01T00:00:00Z\"}", "/data/created_at"));

    @Test
    void everyMalformedPushIsRefusedWithItsFieldNamed() throws Exception {
        assertThat(BAD).hasSizeGreaterThan(60);
        List<String> breaches = new ArrayList<>();
        for (Bad bad : BAD) {
            HttpResponse<String> answer = caller.post("mini-key", "/sync_" + bad.entity() + "_data", bad.body());
            String told = answer.body();
            if (answer.statusCode() != bad.status()
                    || !told.contains(bad.named())
                    || !answer.headers().firstValue("Content-Type").orElse("").equals("application/problem+json")) {
                breaches.add(shown(bad.body()) + " -> " + answer.statusCode() + ' ' + told);
            }
            // the same within a batch is refused alone, and holds up nothing beside it
            if (bad.status() == 422) {
                breaches.addAll(inABatch(bad));
            }
        }
        assertThat(breaches).isEmpty();
        for (String entity : List.of("user", "order")) {
            assertThat(caller.get("ops-key", "/" + entity + "s/bad").statusCode())
                    .isEqualTo(404);
        }
    }

    private List<String> inABatch(Bad bad) throws Exception {
        String good = "{\"" + bad.entity() + "_id\":\"bad-neighbour\",\"data\":{}}";
        HttpResponse<String> answer = caller.post(
                "mini-key",
                "/sync_" + bad.entity() + "_data/batch",
                "{\"items\":[" + good + ',' + bad.body() + ',' + good + "]}");
        JsonNode results = answer.statusCode() == 202 ? Json.read(answer.body()).path("results") : null;
        boolean right = results != null
                && results.path(0).path("status").asText().equals("accepted")
                && results.path(1).path("status").asText().equals("refused")
                && results.path(1).path("problem").toString().contains("/items/1/")
                && results.path(2).path("status").asText().equals("accepted");
        return right
                ? List.of()
                : List.of("in a batch: " + shown(bad.body()) + " -> " + answer.statusCode() + ' ' + answer.body());
    }

    private static String shown(String body) {
        return body.length() > 120 ? body.substring(0, 120) + '…' : body;
    }

    @Test
    void whatIsNoPushAtAllIsRefused() throws Exception {
        String good = "{\"user_id\":\"bad\",\"data\":{}}";
        assertThat(send("/sync_user_data", "text/plain", good.getBytes(StandardCharsets.UTF_8)))
                .isEqualTo(415);
        assertThat(send("/sync_user_data", "application/x-www-form-urlencoded", new byte[0]))
                .isEqualTo(415);
        assertThat(send("/sync_user_data", "application/json", new byte[] {(byte) 0xff, (byte) 0xfe}))
                .isEqualTo(400);
        assertThat(send("/sync_user_data", "application/json", good.getBytes(StandardCharsets.UTF_16)))
                .isEqualTo(400);
        assertThat(send("/sync_nothing_data", "application/json", good.getBytes(StandardCharsets.UTF_8)))
                .isEqualTo(404);
        assertThat(send("/sync_user_data/batch", "application/json", good.getBytes(StandardCharsets.UTF_8)))
                .isEqualTo(400);
        assertThat(send("/sync_user_data/batch", "application/json", "{\"items\":{}}".getBytes(StandardCharsets.UTF_8)))
                .isEqualTo(400);
        assertThat(send("/sync_user_data", "application/json", new byte[2_000_000]))
                .isEqualTo(413);
        for (String verb : List.of("GET", "PUT", "DELETE", "PATCH")) {
            assertThat(caller.send(caller.request("mini-key", "/sync_user_data")
                                    .header("Content-Type", "application/json")
                                    .method(verb, BodyPublishers.ofString(good)))
                            .statusCode())
                    .as(verb)
                    .isEqualTo(405);
        }
        String longKey = "k".repeat(256);
        assertThat(caller.send(caller.request("mini-key", "/sync_user_data")
                                .header("Content-Type", "application/json")
                                .header("Idempotency-Key", longKey)
                                .POST(BodyPublishers.ofString(good)))
                        .statusCode())
                .isEqualTo(400);
    }

    private int send(String path, String type, byte[] body) throws Exception {
        return caller.send(caller.request("mini-key", path)
                        .header("Content-Type", type)
                        .POST(BodyPublishers.ofByteArray(body)))
                .statusCode();
    }

    @Test
    void namesThatLookDangerousArriveUnchanged() throws Exception {
        List<String> names = List.of(
                "'; drop table users; --",
                "\" or \"\"=\"",
                "%_:?ids #{1+1} ${jndi:ldap://127.0.0.1/a} {{twinsync.mini.url}}",
                "<script>alert('1')</script>&amp;",
                "first\r\nSet-Cookie: a=b",
                "\u001b[31mred\u001b[0m",
                "tab\tbell\u0007",
                "𠮷野家 👨‍👩‍👧 🇨🇳",
                "‮abc‬ שלום مرحبا",
                "\\u0041 \\n \\",
                "null");
        JdbcTemplate app = new JdbcTemplate(
                new DriverManagerDataSource(Neighbours.get().postgres.url(), "postgres", "postgres"));
        for (int i = 0; i < names.size(); i++) {
            String push = Json.text(Map.of("user_id", "name-push-" + i, "data", Map.of("nickname", names.get(i))));
            assertThat(caller.post("app-key", "/sync_user_data", push).statusCode())
                    .isEqualTo(202);
            app.update("insert into users (user_id, nickname) values (?, ?)", "name-app-" + i, names.get(i));
            Neighbours.get().mini.edit("user", "name-mini-" + i, Map.of("nickname", names.get(i)));
        }
        for (int i = 0; i < names.size(); i++) {
            for (String from : List.of("push", "app", "mini")) {
                String id = "name-" + from + '-' + i;
                String name = names.get(i);
                await().atMost(Duration.ofSeconds(60)).ignoreExceptions().untilAsserted(() -> {
                    assertThat(app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                            .isEqualTo(name);
                    assertThat(Neighbours.get()
                                    .mini
                                    .read("user", id)
                                    .path("nickname")
                                    .asText())
                            .isEqualTo(name);
                    assertThat(caller.json("app-key", "/users/" + id)
                                    .path("data")
                                    .path("nickname")
                                    .asText())
                            .isEqualTo(name);
                });
            }
        }
    }

    @Test
    void anAnswerThatShowsNoRecordClearsNothing() throws Exception {
        String id = "bad-answer";
        JdbcTemplate app = new JdbcTemplate(
                new DriverManagerDataSource(Neighbours.get().postgres.url(), "postgres", "postgres"));
        MiniProgram mini = Neighbours.get().mini;
        app.update("insert into users (user_id, nickname) values (?, '张三')", id);
        await().atMost(Duration.ofSeconds(60)).ignoreExceptions().untilAsserted(() -> assertThat(
                        caller.json("ops-key", "/users/" + id)
                                .at("/systems/mini/held/nickname")
                                .asText())
                .isEqualTo("张三"));
        Capture capture = Neighbours.get().service().getBean(Capture.class);
        FailurePolicy policy = Neighbours.get().service().getBean(FailurePolicy.class);
        List<String> answers = List.of(
                "{}",
                "{\"code\":-1,\"message\":\"system busy\"}",
                "{\"id\":\"bad-answer\"}",
                "{\"id\":\"bad-answer\",\"data\":null}",
                "{\"id\":\"bad-answer\",\"data\":[]}",
                "{\"id\":\"another\",\"data\":{\"nickname\":\"李四\"}}",
                "{\"data\":{\"nickname\":\"李四\"}}",
                "{\"data\":\"ok\"}",
                "[]",
                "true",
                "");
        int failed = mini.failed();
        try {
            for (String answer : answers) {
                mini.distort((path, body) -> answer.getBytes(StandardCharsets.UTF_8));
                Throwable failure = catchThrowable(() -> capture.look("mini", "user", id));
                assertThat(failure).as(answer).isNotNull();
                assertThat(policy.passes(failure))
                        .as(answer + ": waited for, no letter")
                        .isTrue();
            }
            mini.distort((path, body) -> "{\"items\":[{\"id\":\"bad-answer\"}],\"next\":\"0\",\"id\":\"bad-answer\"}"
                    .getBytes(StandardCharsets.UTF_8));
            // its base is in doubt now, and the record is read for
            caller.post("mini-key", "/sync_user_data", "{\"user_id\":\"bad-answer\",\"data\":{\"language\":\"en\"}}");
            await().atMost(Duration.ofSeconds(60)).until(() -> mini.failed() > failed + answers.size() + 6);
        } finally {
            mini.distort(null);
        }
        mini.edit("user", id, Map.of("phone", "13800138000"));
        await().atMost(Duration.ofSeconds(60)).ignoreExceptions().untilAsserted(() -> assertThat(
                        app.queryForMap("select * from users where user_id = ?", id))
                .containsEntry("nickname", "张三")
                .containsEntry("phone", "+8613800138000")
                .containsEntry("language", "en"));
        assertThat(caller.json("ops-key", "/dead-letters?key=" + id).path("items"))
                .isEmpty();
    }

    /** Ten characters of JSON, and a gigabyte written out. */
    @Test
    void aNumberOfAnySizeAtTheMiniProgramIsOneUnusableField() throws Exception {
        String id = "bad-number";
        JdbcTemplate app = new JdbcTemplate(
                new DriverManagerDataSource(Neighbours.get().postgres.url(), "postgres", "postgres"));
        MiniProgram mini = Neighbours.get().mini;
        for (String number : List.of("1e999999999", "1e400", "-1e-400")) {
            mini.distort((path, body) -> new String(body, StandardCharsets.UTF_8)
                    .replace("\"" + id + number + "\",\"phone", number + ",\"phone")
                    .getBytes(StandardCharsets.UTF_8));
            try {
                mini.edit("user", id + number, new LinkedHashMap<>(Map.of("nickname", id + number)));
                mini.edit("user", id + number, Map.of("phone", "13800138000"));
                await().atMost(Duration.ofSeconds(60)).ignoreExceptions().untilAsserted(() -> assertThat(
                                app.queryForObject(
                                        "select phone from users where user_id = ?", String.class, id + number))
                        .isEqualTo("+8613800138000"));
                await().atMost(Duration.ofSeconds(60)).untilAsserted(() -> assertThat(
                                caller.json("ops-key", "/dead-letters?state=open&key=" + id + number)
                                        .path("items"))
                        .hasSize(1));
            } finally {
                mini.distort(null);
            }
            mini.edit("user", id + number, Map.of("nickname", "好"));
            await().atMost(Duration.ofSeconds(60)).ignoreExceptions().untilAsserted(() -> assertThat(app.queryForObject(
                            "select nickname from users where user_id = ?", String.class, id + number))
                    .isEqualTo("好"));
        }
    }
}
