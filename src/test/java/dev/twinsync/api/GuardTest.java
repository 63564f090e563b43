package dev.twinsync.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Masking;
import io.github.resilience4j.bulkhead.Bulkhead;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** What a caller sends can neither steer a flow, nor exhaust the service, nor show up where it has no business. */
@ExtendWith(OutputCaptureExtension.class)
class GuardTest {

    private static Caller caller;

    @BeforeAll
    static void start() {
        caller = new Caller(Neighbours.get().service());
    }

    private static String user(String id, String data) {
        return "{\"user_id\":\"" + id + "\",\"data\":" + data + "}";
    }

    private static void arrives(String id, String nickname) {
        await().atMost(Duration.ofSeconds(20)).ignoreExceptions().untilAsserted(() -> assertThat(
                        caller.json("ops-key", "/users/" + id)
                                .path("data")
                                .path("nickname")
                                .asText())
                .isEqualTo(nickname));
    }

    @Test
    void headersThatSteerCamelOrKafkaReachNoFlow() throws Exception {
        List<String> names = List.of(
                "CamelHttpUri",
                "cAmElHttpUri",
                "CAMELHTTPPATH",
                "CamelHttpMethod",
                "CamelSqlQuery",
                "kafka.OVERRIDE_TOPIC",
                "Kafka.Override_Topic",
                "KAFKA.KEY",
                "kafka.PARTITION_KEY",
                "mini_path",
                "ids");
        int n = 0;
        for (String name : names) {
            String id = "guard-header-" + ++n;
            HttpResponse<String> answer = caller.send(caller.request("mini-key", "/sync_user_data")
                    .header("Content-Type", "application/json")
                    .header(name, "http://127.0.0.1:1/elsewhere")
                    .POST(BodyPublishers.ofString(user(id, "{\"nickname\":\"甲\"}"))));
            assertThat(answer.statusCode()).as(name).isEqualTo(202);
        }
        for (int i = 1; i <= n; i++) {
            arrives("guard-header-" + i, "甲");
        }
    }

    @Test
    void queryParametersThatSteerCamelOrKafkaReachNoFlow() throws Exception {
        assertThat(caller.post(
                                "mini-key",
                                "/sync_user_data?CamelHttpUri=http://127.0.0.1:1/&kafka.OVERRIDE_TOPIC=x&cAmElHttpPath=y"
                                        + "&Kafka.Key=z&KAFKA.PARTITION_KEY=1",
                                user("guard-query", "{\"nickname\":\"乙\"}"))
                        .statusCode())
                .isEqualTo(202);
        arrives("guard-query", "乙");
    }

    @Test
    void aBodyBeyondItsBoundsIsRefused() throws Exception {
        String deep = "{\"a\":".repeat(40) + "1" + "}".repeat(40);
        assertThat(push(user("guard-deep", deep))).isEqualTo(400);
        assertThat(push("[".repeat(100_000))).isEqualTo(400);
        assertThat(push(user("guard-number", "{\"nickname\":" + "9".repeat(200) + "}")))
                .isEqualTo(400);
        assertThat(push(user("guard-name", "{\"" + "n".repeat(300) + "\":1}"))).isEqualTo(400);
        assertThat(push(user("guard-big", "{\"nickname\":\"" + "x".repeat(1_100_000) + "\"}")))
                .isEqualTo(413);
        assertThat(push(user("guard-twice", "{\"nickname\":\"a\",\"nickname\":\"b\"}")))
                .isEqualTo(400);
        assertThat(push(user("guard-trailing", "{}") + "{}")).isEqualTo(400);
        assertThat(push("")).isEqualTo(400);
        assertThat(push("\uFEFF" + user("guard-bom", "{}"))).isEqualTo(400);
        StringBuilder many = new StringBuilder("{\"items\":[" + user("guard-many", "{}"));
        many.append(("," + user("guard-many", "{}")).repeat(1000)).append("]}");
        assertThat(caller.post("mini-key", "/sync_user_data/batch", many.toString())
                        .statusCode())
                .isEqualTo(422);
    }

    @Test
    void whatCanBeInNoAddressOrIsNoQuestionIsToldSo() throws Exception {
        for (String path : List.of(
                "/users/%2e%2e",
                "/users/a%3Bb",
                "/users/a%252Fb",
                "/conflicts?id=%00",
                "/conflicts?state=foo",
                "/conflicts?entity=foo",
                "/users/guard/timeline?after=%2B999999999-01-01T00:00:00Z_1")) {
            HttpResponse<String> answer = caller.get("ops-key", path);
            assertThat(answer.statusCode()).as(path).isEqualTo(400);
            assertThat(answer.headers().firstValue("Content-Type")).as(path).hasValueSatisfying(type -> assertThat(type)
                    .startsWith("application/problem+json"));
        }
    }

    private static int push(String body) throws Exception {
        return caller.post("mini-key", "/sync_user_data", body).statusCode();
    }

    @Test
    void aNumberOfAnyMagnitudeIsRefusedAtOnce() throws Exception {
        for (String number :
                List.of("1e400", "1e999999999", "1e-999999999", "-1e2147483647", "1e99999999999", "1e-9", "-1")) {
            HttpResponse<String> answer = caller.post(
                    "mini-key",
                    "/sync_order_data",
                    "{\"order_id\":\"guard-money\",\"data\":{\"payment_amount\":" + number + "}}");
            assertThat(answer.statusCode()).as(number).isIn(400, 422);
            answer = caller.post(
                    "mini-key",
                    "/sync_order_data",
                    "{\"order_id\":\"guard-money\",\"data\":{\"items\":[{\"line_no\":" + number
                            + ",\"sku\":\"a\",\"title\":\"b\",\"quantity\":1,\"unit_price\":1}]}}");
            assertThat(answer.statusCode()).as(number).isIn(400, 422);
            answer = caller.post("mini-key", "/sync_user_data", user("guard-money", "{\"nickname\":" + number + "}"));
            assertThat(answer.statusCode()).as(number).isIn(400, 422);
        }
    }

    @Test
    void tooManyPushesAtOnceAreAskedToComeAgain() throws Exception {
        Bulkhead limit = Neighbours.get().service().getBean(PushLimit.class).of("mini");
        int taken = 0;
        try {
            while (limit.tryAcquirePermission()) {
                taken++;
            }
            HttpResponse<String> answer =
                    caller.post("mini-key", "/sync_user_data", user("guard-limit", "{\"nickname\":\"丙\"}"));
            assertThat(answer.statusCode()).isEqualTo(429);
            assertThat(answer.headers().firstValue("Retry-After")).isPresent();
            assertThat(answer.headers().firstValue("Content-Type")).hasValue("application/problem+json");
            // the other backend is not held up by it
            assertThat(caller.post("app-key", "/sync_user_data", user("guard-limit-app", "{\"nickname\":\"丁\"}"))
                            .statusCode())
                    .isEqualTo(202);
        } finally {
            for (int i = 0; i < taken; i++) {
                limit.onComplete();
            }
        }
        assertThat(push(user("guard-limit", "{\"nickname\":\"丙\"}"))).isEqualTo(202);
        int free = limit.getMetrics().getMaxAllowedConcurrentCalls();
        await().untilAsserted(() ->
                assertThat(limit.getMetrics().getAvailableConcurrentCalls()).isEqualTo(free));
    }

    @Test
    void aPhoneInTheWordsOfANeighbourIsHidden() {
        assertThat(Masking.inText(
                        "phone +8613912345678 is taken, so is 13912345678; order 20260131139123456789 and 199.99"))
                .isEqualTo("phone +86139****5678 is taken, so is 139****5678; order 20260131139123456789 and 199.99");
    }

    @Test
    void everyEventHasItsLineAndNoLineHoldsAPhone(CapturedOutput output) throws Exception {
        Neighbours neighbours = Neighbours.get();
        neighbours.mini.refuse("user", "guard-refused", 422);
        assertThat(push(user("guard-canary", "{\"nickname\":\"戊\",\"phone\":\"13912345678\"}")))
                .isEqualTo(202);
        assertThat(push(user("guard-bad", "{\"phone\":\"139123456780\"}"))).isEqualTo(422);
        neighbours.postgres.execute(
                "insert into users (user_id, nickname, phone) values ('guard-refused', 'x', '13912345678'),"
                        + " ('guard-unusable', 'y', '139123456780')");
        await().atMost(Duration.ofSeconds(20)).untilAsserted(() -> assertThat(output.getAll())
                .containsPattern("merged entity=user id=guard-canary system=mini version=1 trace=[0-9a-f]{32}")
                .containsPattern("delivered entity=user id=guard-canary system=app version=\\d+ trace=[0-9a-f]{32}")
                .containsPattern(
                        "dead_letter entity=user id=guard-refused system=mini .*version=1 .*status=422 trace=[0-9a-f]{32}")
                .containsPattern(
                        "dead_letter entity=user id=guard-unusable system=app slot=phone .*trace=[0-9a-f]{32}"));
        neighbours.mini.allow("user", "guard-refused");
        assertThat(output.getAll()).doesNotContain("1391234567");
        // the line is written when the letter is sent; it is stored a moment later
        String letters = await().atMost(Duration.ofSeconds(20))
                .until(
                        () -> caller.get("ops-key", "/dead-letters?q=guard-").body(),
                        told -> told.contains("guard-unusable"));
        assertThat(letters).doesNotContain("1391234567");
        assertThat(caller.get("ops-key", "/actuator/prometheus").body()).doesNotContain("guard-", "1391234567");
        assertThat(caller.get("ops-key", "/actuator/health").body()).doesNotContain("1391234567");
    }
}
