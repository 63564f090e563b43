package dev.twinsync.deadletter;

import static dev.twinsync.deadletter.Desk.soon;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.net.URLEncoder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The dead-letter desk over the whole service: what fails is kept, told, retried and ended, once each. */
class DeskTest {

    private static Neighbours neighbours;
    private static MiniProgram mini;
    private static JdbcTemplate app;
    private static Desk desk;
    private static int number;

    private String id;

    @BeforeAll
    static void start() {
        neighbours = Neighbours.get();
        mini = neighbours.mini;
        app = new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
        desk = new Desk(
                "http://127.0.0.1:" + neighbours.service().getEnvironment().getProperty("local.server.port"));
    }

    @BeforeEach
    void freshRecord() {
        id = "desk-" + ++number + "x";
    }

    private void order(String order, int code) {
        mini.refuse("order", order, code);
        app.update("insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", order);
    }

    /** Orders {@code <id>-1 … n}, all refused with a code of their own, and their letters. */
    private List<String> orders(int count, int code) {
        List<String> orders =
                IntStream.rangeClosed(1, count).mapToObj(n -> id + '-' + n).toList();
        orders.forEach(order -> mini.refuse("order", order, code));
        app.update("""
                insert into orders (order_id, user_id, status, payment_amount)
                select ? || '-' || n, 'u', 'paid', 1 from generate_series(1, ?) n""", id, count);
        soon(() -> assertThat(count("state = 'open' and record_id like '" + id + "-%'"))
                .isEqualTo(count));
        return orders;
    }

    private long count(String condition) {
        Long count = app.queryForObject("select count(*) from sync.dead_letter where " + condition, Long.class);
        return count == null ? 0 : count;
    }

    private String retry(String body) {
        Desk.Answer answer = desk.post("/dead-letters/retries", body);
        assertThat(answer.status()).as(answer.body()).isEqualTo(202);
        return answer.json().path("operation").asText();
    }

    private void ends(String operation, String state) {
        soon(() -> assertThat(desk.operation(operation).path("state").asText()).isEqualTo(state));
    }

    @Test
    void aGroupIsToldCountedMarkedAndRetriedWholeAndNewArrivalsAreLeftAlone() {
        List<String> orders = orders(60, 431);
        JsonNode group = desk.get("/dead-letters/groups")
                .path("items")
                .valueStream()
                .filter(one -> one.path("error").path("code").asText().equals("431"))
                .findFirst()
                .orElseThrow();
        assertThat(group.path("count").asInt()).isEqualTo(60);
        assertThat(group.path("records").asInt()).isEqualTo(60);
        assertThat(group.path("state").asText()).isEqualTo("new");
        String name = group.path("group").asText();
        JsonNode marked = desk.call(
                        "PATCH",
                        "/dead-letters/groups/" + name,
                        "{\"state\":\"acknowledged\",\"note\":\"the shop looks into it, T-17\"}")
                .json();
        assertThat(marked.path("state").asText()).isEqualTo("acknowledged");

        orders.subList(3, 55).forEach(order -> mini.allow("order", order));
        orders.subList(0, 3).forEach(order -> mini.allow("order", order));
        String filter = "{\"group\":\"" + name + "\",\"q\":\"" + id + "\"}";
        JsonNode plan = desk.post("/dead-letters/retries", "{\"filter\":" + filter + ",\"dry_run\":true}")
                .json();
        assertThat(plan.path("total").asInt()).isEqualTo(60);
        assertThat(plan.path("would").path("send").asInt()).isEqualTo(60);
        assertThat(desk.get("/dead-letters/retries").path("items").findValuesAsText("total"))
                .doesNotContain("60");

        String operation = retry("{\"filter\":" + filter + ",\"canary\":3,\"rate\":1000,\"reason\":\"mended\"}");
        String late = id + "-late";
        order(late, 431);
        ends(operation, "done");
        JsonNode done = desk.operation(operation);
        assertThat(done.path("total").asInt()).isEqualTo(60);
        assertThat(done.path("sent").asInt()).isEqualTo(60);
        assertThat(done.path("succeeded").asInt()).isEqualTo(55);
        assertThat(done.path("failed_again").asInt()).isEqualTo(5);
        assertThat(count("state = 'resolved' and record_id like '" + id + "-%'"))
                .isEqualTo(55);
        assertThat(count("state = 'open' and attempts = 2 and record_id like '" + id + "-%'"))
                .isEqualTo(5);
        long untouched = desk.letter(late);
        assertThat(desk.get("/dead-letters/" + untouched).path("attempts").asInt())
                .isEqualTo(1);
        assertThat(desk.get("/dead-letters/" + untouched).path("retries")).isEmpty();
        // what people know of the cause outlives the retry
        JsonNode after = desk.get("/dead-letters/groups/" + name);
        assertThat(after.path("state").asText()).isEqualTo("acknowledged");
        assertThat(after.path("note").asText()).contains("T-17");
        assertThat(desk.get("/dead-letters/retries/" + operation + "/letters?outcome=failed_again")
                        .path("items"))
                .hasSize(5);
        assertThat(mini.violations()).isEmpty();
        assertThat(mini.backwards()).isZero();
    }

    @Test
    void aRetryPausesWhenItsCanaryFailsAndWhenTooManyFailAndGoesOn() {
        List<String> orders = orders(30, 432);
        String of = "{\"filter\":{\"q\":\"" + id + "-\",\"error\":\"432\"},\"rate\":1000,";
        String canary = retry(of + "\"canary\":2}");
        ends(canary, "paused");
        JsonNode paused = desk.operation(canary);
        assertThat(paused.path("paused_because").asText()).contains("canary");
        assertThat(paused.path("sent").asInt()).isEqualTo(2);
        assertThat(desk.post("/dead-letters/retries", of + "\"dry_run\":true}")
                        .json()
                        .path("being_retried")
                        .asInt())
                .isEqualTo(28);
        assertThat(desk.call(
                                "DELETE",
                                "/dead-letters/retries/" + canary,
                                "{\"reason\":\"the partner rolls back first\"}")
                        .json()
                        .path("cancelled")
                        .asInt())
                .isEqualTo(28);
        assertThat(desk.call("DELETE", "/dead-letters/retries/" + canary, null).status())
                .isEqualTo(409);
        JsonNode acts = desk.get("/audit?kind=operation&target=" + canary).path("items");
        // without a body as well as with one, and what could not be done is kept too
        assertThat(acts.findValuesAsText("reason")).contains("the partner rolls back first");
        assertThat(acts.findValuesAsText("result")).containsExactly("refused", "done");
        assertThat(desk.call("DELETE", "/dead-letters/retries/" + canary, "{\"reason\":7}")
                        .status())
                .isEqualTo(422);

        String slow = retry(of.replace("1000", "10") + "\"stop_at_failure_ratio\":0.1}");
        ends(slow, "paused");
        JsonNode stopped = desk.operation(slow);
        assertThat(stopped.path("paused_because").asText()).contains("failed again");
        assertThat(stopped.path("pending").asInt()).isPositive();
        orders.forEach(order -> mini.allow("order", order));
        assertThat(desk.post("/dead-letters/retries/" + slow + "/resume", "{}").status())
                .isEqualTo(200);
        ends(slow, "done");
        JsonNode done = desk.operation(slow);
        assertThat(done.path("succeeded").asInt() + done.path("failed_again").asInt())
                .isEqualTo(30);
        assertThat(done.path("failed_again").asInt()).isBetween(1, 29);
    }

    @Test
    void aRetryAtTenASecondStaysAtTenASecondAndLeavesNewFailuresOfItsCauseAlone() {
        List<String> orders = orders(40, 447);
        orders.forEach(order -> mini.allow("order", order));
        JsonNode first = desk.get("/dead-letters/" + desk.letter(orders.get(0)));
        String filter = "{\"group\":\"" + first.path("group").asText() + "\"}";
        String operation = retry("{\"filter\":" + filter + ",\"rate\":10,\"reason\":\"mended\"}");
        // the same cause comes again while the retry is at it
        String late = id + "-late";
        order(late, 447);
        long untouched = desk.letter(late);
        assertThat(desk.operation(operation).path("state").asText()).isEqualTo("running");
        assertThat(desk.get("/dead-letters/" + untouched).path("group")).isEqualTo(first.path("group"));
        ends(operation, "done");
        JsonNode done = desk.operation(operation);
        assertThat(done.path("total").asInt()).isEqualTo(40);
        assertThat(done.path("succeeded").asInt()).isEqualTo(40);
        JsonNode letter = desk.get("/dead-letters/" + untouched);
        assertThat(letter.path("state").asText()).isEqualTo("open");
        assertThat(letter.path("attempts").asInt()).isEqualTo(1);
        assertThat(letter.path("retries")).isEmpty();
        assertThat(mini.writes().stream().filter(w -> w.id().equals(late))).hasSize(1);
        // half a second's pace may be made good: the fifth may come at once, the fifteenth a second later
        List<Double> after = app.queryForList("""
                select extract(epoch from i.sent_at - o.created_at)::float8
                from sync.retry_item i join sync.retry_operation o on o.id = i.operation
                where o.id = ?::bigint order by i.sent_at""", Double.class, operation);
        assertThat(after).hasSize(40);
        for (int n = 0; n < after.size(); n++) {
            assertThat(after.get(n)).as("letter " + (n + 1)).isGreaterThanOrEqualTo((n + 1 - 5) / 10.0);
        }
        mini.allow("order", late);
        desk.post("/dead-letters/" + untouched + "/retry", "{}");
        soon(() -> assertThat(desk.state(untouched)).isEqualTo("resolved"));
    }

    @Test
    void aWholeCauseIsDiscardedWithAReasonAndBroughtBack() {
        orders(12, 448);
        String group = desk.get("/dead-letters/" + desk.letter(id + "-1"))
                .path("group")
                .asText();
        String filter = "{\"group\":\"" + group + "\"}";
        JsonNode plan = desk.post("/dead-letters/discards", "{\"filter\":" + filter + ",\"dry_run\":true}")
                .json();
        assertThat(plan.path("total").asInt()).isEqualTo(12);
        String late = id + "-late";
        order(late, 448);
        long newer = desk.letter(late);
        Desk.Answer silent = desk.post("/dead-letters/discards", "{\"filter\":" + filter + "}");
        assertThat(silent.status()).isEqualTo(422);
        assertThat(silent.body()).contains("/reason");
        assertThat(desk.post("/dead-letters/discards", "{\"reason\":\"all of them\"}")
                        .status())
                .isEqualTo(422);
        Desk.Answer answer = desk.post(
                "/dead-letters/discards",
                "{\"filter\":{\"group\":\"" + group + "\",\"up_to\":"
                        + plan.path("up_to").asLong() + "},\"reason\":\"test orders\"}");
        assertThat(answer.json().path("discarded").asInt()).isEqualTo(12);
        assertThat(count("state = 'discarded' and reason = 'test orders' and record_id like '" + id + "-%'"))
                .isEqualTo(12);
        // what came after the look is left alone
        assertThat(desk.state(newer)).isEqualTo("open");
        assertThat(desk.get("/audit?act=letters.discard").path("items").path(0).toString())
                .contains("test orders", group);
        assertThat(desk.post("/dead-letters/restores", "{\"filter\":" + filter + "}")
                        .json()
                        .path("restored")
                        .asInt())
                .isEqualTo(12);
        assertThat(count("state = 'open' and record_id like '" + id + "-%'")).isEqualTo(13);
        desk.post("/dead-letters/discards", "{\"filter\":" + filter + ",\"reason\":\"the test is over\"}");
        assertThat(count("state = 'open' and record_id like '" + id + "-%'")).isZero();
    }

    @Test
    void lettersAreListedInAnOrderThatIsAskedForPageByPage() {
        List<Long> letters = orders(3, 451).stream().map(desk::letter).sorted().toList();
        String at = "update sync.dead_letter set %1$s_failed_at = '2026-01-0%2$d 08:00:00.123456+08' where id = ?";
        for (long letter : letters) {
            app.update(at.formatted("first", 2), letter);
            app.update(at.formatted("last", 2), letter);
        }
        app.update(at.formatted("first", 1), letters.get(1));
        app.update(at.formatted("last", 3), letters.get(0));
        Map<String, int[]> orders = Map.of(
                "newest", new int[] {2, 1, 0}, "oldest", new int[] {1, 0, 2}, "last_failed", new int[] {0, 2, 1});
        orders.forEach((sort, places) -> {
            String of = "/dead-letters?limit=1&q=" + id + "-&sort=" + sort;
            String after = "";
            for (int place : places) {
                JsonNode page = desk.get(of + after);
                assertThat(page.path("items").path(0).path("id").asLong())
                        .as(sort)
                        .isEqualTo(letters.get(place));
                after = "&after=" + page.path("next").asText();
            }
            assertThat(after).isEqualTo("&after=null");
            assertThat(desk.call("GET", of + "&after=x", null).status()).isEqualTo(400);
        });
        assertThat(desk.call("GET", "/dead-letters?sort=best", null).body())
                .contains("sort: write one of newest, last_failed, oldest");
        JsonNode groups = desk.get("/dead-letters/groups?sort=oldest").path("items");
        assertThat(groups.path(0).path("error").path("code").asText()).isEqualTo("451");
        // upper case or lower, in whatever language
        app.update(
                "update sync.dead_letter set error = jsonb_set(error, '{message}', '\"ÉTAT ПРОВЕРКА\"') where id = ?",
                letters.get(0));
        for (String words : List.of("ÉTAT ПРОВЕРКА", "État проверка")) {
            assertThat(desk.get("/dead-letters?q=" + URLEncoder.encode(words, StandardCharsets.UTF_8))
                            .path("items"))
                    .extracting(letter -> letter.path("id").asLong())
                    .containsExactly(letters.get(0));
        }
        desk.post("/dead-letters/discards", "{\"filter\":{\"q\":\"" + id + "-\"},\"reason\":\"the test is over\"}");
    }

    @Test
    void whatARetryHasIsNotDiscardedUnseen() {
        orders(4, 446);
        String filter = "\"filter\":{\"q\":\"" + id + "-\"}";
        String retry = retry("{" + filter + ",\"canary\":1}");
        ends(retry, "paused");
        List<Long> waiting = desk.get("/dead-letters?state=open&q=" + id + "-")
                .path("items")
                .valueStream()
                .filter(letter -> letter.path("in_retry").asText().equals(retry))
                .map(letter -> letter.path("id").asLong())
                .toList();
        assertThat(waiting).hasSize(3);
        String one = "/dead-letters/" + waiting.get(0);
        Desk.Answer unseen = desk.post(one + "/discard", "{\"reason\":\"a test order\"}");
        assertThat(unseen.status()).isEqualTo(409);
        assertThat(unseen.body()).contains("retry " + retry + ", which is paused", "from_retries");
        JsonNode look = desk.post("/dead-letters/discards", "{" + filter + ",\"dry_run\":true}")
                .json();
        assertThat(look.path("total").asInt()).isOne();
        assertThat(look.path("in_retries").asInt()).isEqualTo(3);
        assertThat(look.path("retries").path(0).asText()).isEqualTo(retry);
        JsonNode left = desk.post("/dead-letters/discards", "{" + filter + ",\"reason\":\"test orders\"}")
                .json();
        assertThat(left.path("discarded").asInt()).isOne();
        assertThat(left.path("left_to_retries").asInt()).isEqualTo(3);
        assertThat(desk.operation(retry).path("pending").asInt()).isEqualTo(3);

        assertThat(desk.post(one + "/discard", "{\"reason\":\"a test order\",\"from_retries\":\"yes\"}")
                        .body())
                .contains("/from_retries");
        assertThat(desk.post(one + "/discard", "{\"reason\":\"a test order\",\"from_retries\":true}")
                        .status())
                .isEqualTo(200);
        assertThat(desk.state(waiting.get(0))).isEqualTo("discarded");
        JsonNode out = desk.post(
                        "/dead-letters/discards", "{" + filter + ",\"reason\":\"test orders\",\"from_retries\":true}")
                .json();
        assertThat(out.path("discarded").asInt()).isEqualTo(2);
        assertThat(out.path("left_to_retries").asInt()).isZero();
        assertThat(desk.operation(retry).path("skipped_superseded").asInt()).isEqualTo(3);
        // it has nothing left that somebody would have to go on with
        assertThat(desk.operation(retry).path("state").asText()).isEqualTo("done");
        assertThat(count("state = 'discarded' and record_id like '" + id + "-%'"))
                .isEqualTo(4);
    }

    @Test
    void twoClicksAreOneRetryAndAKeyMakesItSoForGood() {
        order(id, 433);
        long letter = desk.letter(id);
        List<CompletableFuture<Desk.Answer>> clicks = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            clicks.add(CompletableFuture.supplyAsync(
                    () -> desk.post("/dead-letters/" + letter + "/retry", "{}", "Idempotency-Key", id)));
        }
        List<String> operations = clicks.stream()
                .map(click -> click.join().json().path("operation").asText())
                .distinct()
                .toList();
        assertThat(operations).hasSize(1);
        soon(() -> assertThat(
                        desk.get("/dead-letters/" + letter).path("attempts").asInt())
                .isEqualTo(2));
        mini.allow("order", id);
        assertThat(desk.post("/dead-letters/" + letter + "/retry", "{}", "Idempotency-Key", id)
                        .json()
                        .path("operation")
                        .asText())
                .isEqualTo(operations.get(0));
        Desk.Answer again = desk.post("/dead-letters/" + letter + "/retry", "{\"reason\":\"the shop allows it\"}");
        assertThat(again.json().path("operation").asText()).isNotEqualTo(operations.get(0));
        soon(() -> assertThat(desk.state(letter)).isEqualTo("resolved"));
        assertThat(desk.post("/dead-letters/" + letter + "/retry", "{}").json().path("operation"))
                .isEqualTo(again.json().path("operation"));
        JsonNode retries = desk.get("/dead-letters/" + letter).path("retries");
        assertThat(retries.findValuesAsText("outcome")).containsExactly("failed_again", "succeeded");
        assertThat(retries.path(1).path("reason").asText()).isEqualTo("the shop allows it");
        assertThat(mini.writes().stream().filter(w -> w.id().equals(id) && w.code() == 0))
                .hasSize(1);
    }

    @Test
    void aLetterTellsItsRequestWhatIsHeldNowAndWhatARetryWouldDo() {
        order(id, 434);
        long letter = desk.letter(id);
        JsonNode detail = desk.get("/dead-letters/" + letter);
        assertThat(detail.path("kind").asText()).isEqualTo("delivery");
        assertThat(detail.path("file").asText()).isEqualTo("orders/deliver-mini-orders.camel.yaml");
        assertThat(detail.path("request").path("data").path("status").asText()).isEqualTo("paid");
        assertThat(detail.path("headers").path("kafka_dlt-original-offset").asText())
                .matches("\\d+");
        assertThat(detail.path("retry_now").path("would").asText()).isEqualTo("send");
        assertThat(detail.path("retry_now")
                        .path("fields")
                        .path("status")
                        .path("to")
                        .asText())
                .isEqualTo("paid");
        assertThat(detail.path("now")
                        .path("systems")
                        .path("app")
                        .path("held")
                        .path("status")
                        .asText())
                .isEqualTo("paid");
        assertThat(detail.path("now")
                        .path("systems")
                        .path("mini")
                        .path("exists")
                        .asBoolean())
                .isFalse();
        assertThat(detail.path("superseded").asBoolean()).isFalse();

        // a newer version that gets through ends the letter by itself
        mini.allow("order", id);
        app.update("update orders set status = 'shipped', updated_at = clock_timestamp() where order_id = ?", id);
        soon(() -> assertThat(desk.state(letter)).isEqualTo("superseded"));
        JsonNode after = desk.get("/dead-letters/" + letter);
        assertThat(after.path("superseded").asBoolean()).isTrue();
        assertThat(after.path("retry_now").path("would").asText()).isEqualTo("close");
        assertThat(after.path("expires_at").isTextual()).isTrue();
        assertThat(desk.post("/dead-letters/" + letter + "/retry", "{}").status())
                .isEqualTo(409);
    }

    @Test
    void aLetterEndsWhenTheSystemTurnsOutToHoldWhatItWasSent() {
        order(id, 437);
        long letter = desk.letter(id);
        JsonNode wanted = desk.get("/dead-letters/" + letter).path("now").path("golden");
        Map<String, JsonNode> fields = new HashMap<>();
        wanted.properties().forEach(field -> fields.put(field.getKey(), field.getValue()));
        fields.keySet().removeAll(List.of("order_id", "deleted"));
        mini.edit("order", id, fields);
        soon(() -> assertThat(desk.state(letter)).isEqualTo("superseded"));
        assertThat(mini.writes().stream().filter(w -> w.id().equals(id) && w.code() == 0))
                .isEmpty();
    }

    @Test
    void anEditIsValidatedSentAndItsDifferenceKept() {
        mini.refuse("user", id, 435);
        app.update("insert into users (user_id, nickname, phone) values (?, '旧名', '13912345678')", id);
        long letter = desk.letter(id);
        Desk.Answer refused = desk.post("/dead-letters/" + letter + "/retry", "{\"body\":{\"phone\":\"12\"}}");
        assertThat(refused.status()).isEqualTo(422);
        assertThat(refused.json().path("errors").path(0).path("pointer").asText())
                .isEqualTo("/phone");
        String shown = desk.get("/dead-letters/" + letter)
                .path("now")
                .path("golden")
                .path("phone")
                .asText();
        assertThat(shown).contains("****");
        assertThat(desk.post(
                                "/dead-letters/" + letter + "/retry",
                                "{\"body\":{\"nickname\":\"x\",\"phone\":\"" + shown + "\"}}")
                        .status())
                .isEqualTo(422);
        mini.allow("user", id);
        assertThat(desk.post("/dead-letters/" + letter + "/retry", "{\"body\":{\"nickname\":\"新名\"}}")
                        .status())
                .isEqualTo(202);
        soon(() -> assertThat(desk.state(letter)).isEqualTo("resolved"));
        soon(() -> assertThat(mini.read("user", id).path("nickname").asText()).isEqualTo("新名"));
        assertThat(mini.read("user", id).path("phone").asText()).isEqualTo("+8613912345678");
        soon(() -> assertThat(app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                .isEqualTo("新名"));
        String all = desk.call("GET", "/dead-letters/" + letter, null).body();
        assertThat(all).contains("retries").doesNotContain("13912345678");
        JsonNode fields = Json.read(all).path("retries").path(0).path("fields").path("nickname");
        assertThat(fields.has("to")).isTrue();
    }

    @Test
    void aFieldThatStaysUnusableFailsAgainAndMendedItEnds() {
        app.update("insert into users (user_id, nickname, phone) values (?, '坏', '12345')", id);
        long letter = desk.letter(id);
        assertThat(desk.get("/dead-letters/" + letter).path("field").asText()).isEqualTo("phone");
        String operation = desk.post("/dead-letters/" + letter + "/retry", "{}")
                .json()
                .path("operation")
                .asText();
        ends(operation, "done");
        assertThat(desk.operation(operation).path("failed_again").asInt()).isEqualTo(1);
        assertThat(desk.state(letter)).isEqualTo("open");
        // the app's owner mends it without telling anyone; the retry reads the record again
        app.update("update users set phone = '13800138000' where user_id = ?", id);
        desk.post("/dead-letters/" + letter + "/retry", "{}");
        soon(() -> assertThat(desk.state(letter)).isEqualTo("resolved"));
    }

    @Test
    void anEditOfAnUnusableFieldIsWrittenOverItAtItsSystem() {
        app.update("insert into users (user_id, nickname, phone) values (?, '误', '13800138000')", id);
        soon(() -> assertThat(mini.read("user", id).path("phone").asText()).isEqualTo("+8613800138000"));
        for (String stated : new String[] {"+8613900139000", "+8613900139000"}) {
            // the second time what is stated is true already, and only the app does not hold it
            app.update("update users set phone = '12345', updated_at = clock_timestamp() where user_id = ?", id);
            long letter = desk.letter(id);
            String operation = desk.post(
                            "/dead-letters/" + letter + "/retry",
                            "{\"reason\":\"asked\",\"body\":{\"phone\":\"" + stated + "\"}}")
                    .json()
                    .path("operation")
                    .asText();
            ends(operation, "done");
            assertThat(desk.operation(operation).path("succeeded").asInt()).isOne();
            assertThat(desk.state(letter)).isEqualTo("resolved");
            assertThat(app.queryForObject("select phone from users where user_id = ?", String.class, id))
                    .contains("13900139000");
            assertThat(mini.read("user", id).path("phone").asText()).isEqualTo(stated);
        }
        // what nobody has stated is never written over what can't be read
        app.update("update users set phone = '54321', updated_at = clock_timestamp() where user_id = ?", id);
        desk.letter(id);
        mini.edit("user", id, Map.of("phone", "+8613700137000", "nickname", "改"));
        soon(() -> assertThat(app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                .isEqualTo("改"));
        assertThat(app.queryForObject("select phone from users where user_id = ?", String.class, id))
                .isEqualTo("54321");
        // mended there before anything has read it, it is an edit, and not what another write finds and takes for known
        desk.post("/flows/poll-app-users/pause", "{\"reason\":\"a write comes first\"}");
        try {
            app.update("update users set phone = '13600136000', updated_at = clock_timestamp() where user_id = ?", id);
            mini.edit("user", id, Map.of("nickname", "又改"));
            soon(() -> assertThat(mini.read("user", id).path("phone").asText()).isEqualTo("+8613600136000"));
            soon(() -> assertThat(app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                    .isEqualTo("又改"));
            assertThat(app.queryForObject("select phone from users where user_id = ?", String.class, id))
                    .isEqualTo("13600136000");
        } finally {
            desk.post("/flows/poll-app-users/start", "{\"reason\":\"it came\"}");
        }
    }

    @Test
    void aMessageThatCantBeWorkedIsMendedAndPutBack() throws Exception {
        app.update("insert into users (user_id, nickname) values (?, '甲')", id);
        soon(() -> assertThat(mini.read("user", id)).isNotNull());
        send(
                "user.observed",
                id,
                "{\"v\":1,\"kind\":\"push\",\"entity\":\"user\",\"id\":\"" + id
                        + "\",\"system\":\"nobody\",\"data\":{\"nickname\":\"乙\"},\"observed_at\":\"2026-01-01T00:00:00Z\",\"event_id\":\""
                        + id + "\"}",
                Map.of());
        long letter = desk.letter(id);
        JsonNode detail = desk.get("/dead-letters/" + letter);
        assertThat(detail.path("kind").asText()).isEqualTo("message");
        assertThat(detail.path("message").path("system").asText()).isEqualTo("nobody");
        assertThat(detail.path("stack").asText()).contains("MergeFlow");
        assertThat(detail.path("retry_now").path("would").asText()).isEqualTo("put_back");
        Desk.Answer refused = desk.post("/dead-letters/" + letter + "/retry", "{\"body\":{\"system\":\"who\"}}");
        assertThat(refused.status()).isEqualTo(422);
        assertThat(refused.body()).contains("/system");
        // as it is, it fails again, and is still one letter with its original
        String operation = desk.post("/dead-letters/" + letter + "/retry", "{}")
                .json()
                .path("operation")
                .asText();
        ends(operation, "done");
        assertThat(desk.operation(operation).path("failed_again").asInt()).isEqualTo(1);
        assertThat(desk.get("/dead-letters?key=" + id).path("items")).hasSize(1);
        assertThat(desk.post("/dead-letters/" + letter + "/retry", "{\"body\":{\"system\":\"operator\"}}")
                        .status())
                .isEqualTo(202);
        soon(() -> assertThat(desk.state(letter)).isEqualTo("resolved"));
        soon(() -> assertThat(mini.read("user", id).path("nickname").asText()).isEqualTo("乙"));
    }

    @Test
    void whatOthersWriteOnADeadLetterTopicIsKeptAndHoldsNothingUp() throws Exception {
        send(
                "user.observed-dlt",
                id,
                "\u0000 garbage, tel 13712345678",
                Map.of(
                        "kafka_dlt-original-topic", "user.observed".getBytes(StandardCharsets.UTF_8),
                        "kafka_dlt-original-partition",
                                ByteBuffer.allocate(4).putInt(3).array(),
                        "kafka_dlt-original-offset",
                                ByteBuffer.allocate(8).putLong(77).array(),
                        "kafka_dlt-exception-fqcn", "com.example.Broken".getBytes(StandardCharsets.UTF_8),
                        "kafka_dlt-exception-message", "no \u0000 luck".getBytes(StandardCharsets.UTF_8)));
        send(
                "user.observed-dlt",
                id,
                "{\"balance\":1e-999999999,\"phone\":\"13712345678\"}",
                Map.of("sync-letter", new byte[] {'{'}));
        soon(() -> assertThat(desk.get("/dead-letters?state=open&kind=unknown&key=" + id)
                        .path("items"))
                .hasSize(2));
        JsonNode items = desk.get("/dead-letters?kind=unknown&key=" + id + "&error=com.example.Broken")
                .path("items");
        assertThat(items).hasSize(1);
        String detail = desk.call(
                        "GET", "/dead-letters/" + items.path(0).path("id").asLong(), null)
                .body();
        assertThat(detail).contains("\"77\"").contains("garbage").doesNotContain("13712345678");
        for (String format : List.of("csv", "jsonl")) {
            Desk.Answer export = desk.call("GET", "/dead-letters/export?format=" + format + "&key=" + id, null);
            assertThat(export.status()).isEqualTo(200);
            assertThat(export.body().lines().filter(line -> line.contains(id))).hasSize(2);
            assertThat(export.body()).doesNotContain("13712345678");
            if (format.equals("jsonl")) {
                assertThat(export.body()).contains("1e-999999999");
            }
        }
        // letters behind it are stored
        String after = id + "-after";
        order(after, 436);
        assertThat(desk.letter(after)).isPositive();
    }

    @Test
    void aRetryOfManyPassesOverWhatIsOfAnotherServicesTopic() throws Exception {
        send(
                "user.observed-dlt",
                id,
                "their own message",
                Map.of("kafka_dlt-original-topic", "billing.events".getBytes(StandardCharsets.UTF_8)));
        long theirs = desk.letter(id);
        String ours = id + "-ours";
        order(ours, 439);
        long letter = desk.letter(ours);
        mini.allow("order", ours);
        assertThat(desk.post("/dead-letters/" + theirs + "/retry", "{}").status())
                .isEqualTo(409);
        String operation = desk.post(
                        "/dead-letters/retries", "{\"filter\":{\"ids\":\"" + theirs + ',' + letter + "\"}}")
                .json()
                .path("operation")
                .asText();
        soon(() -> assertThat(desk.operation(operation).path("state").asText()).isEqualTo("done"));
        assertThat(desk.operation(operation).path("succeeded").asInt()).isOne();
        assertThat(desk.operation(operation).path("skipped_superseded").asInt()).isOne();
        assertThat(desk.state(letter)).isEqualTo("resolved");
        assertThat(desk.state(theirs)).isEqualTo("open");
    }

    @Test
    void aLetterIsDiscardedWithAReasonAndBroughtBack() {
        order(id, 437);
        long letter = desk.letter(id);
        assertThat(desk.post("/dead-letters/" + letter + "/discard", "{}").status())
                .isEqualTo(422);
        assertThat(desk.post("/dead-letters/" + letter + "/discard", "{\"reason\":\"a test order\"}")
                        .status())
                .isEqualTo(200);
        assertThat(desk.state(letter)).isEqualTo("discarded");
        assertThat(desk.post("/dead-letters/" + letter + "/restore", "{}").status())
                .isEqualTo(200);
        assertThat(desk.state(letter)).isEqualTo("open");
        mini.allow("order", id);
        desk.post("/dead-letters/" + letter + "/retry", "{}");
        soon(() -> assertThat(desk.state(letter)).isEqualTo("resolved"));
    }

    @Test
    void aFilterIsTakenAtItsWordAndAnExportIsMaskedAndHarmless() throws Exception {
        String key = "=cmd|' /C calc'!" + id;
        send(
                "user.observed-dlt",
                key,
                "{\"nickname\":\"<script>alert(1)</script>\\u001b[31m🐼\",\"phone\":\"+8613612345678\"}",
                Map.of());
        soon(() -> assertThat(desk.get("/dead-letters?kind=unknown&q=" + id).path("items"))
                .hasSize(1));
        assertThat(desk.call("GET", "/dead-letters?stat=open", null).status()).isEqualTo(400);
        assertThat(desk.call("GET", "/dead-letters?from=yesterday", null).body())
                .contains("from");
        Desk.Answer slip = desk.post("/dead-letters/retries", "{\"filter\":{\"gruop\":\"x\"}}");
        assertThat(slip.status()).isEqualTo(422);
        assertThat(slip.body()).contains("/filter/gruop");
        assertThat(desk.post("/dead-letters/retries", "{}").status()).isEqualTo(422);
        for (String beyond : List.of("rate\":-1", "canary\":2.5", "stop_at_failure_ratio\":1.1", "rate\":1e-99")) {
            Desk.Answer answer = desk.post("/dead-letters/retries", "{\"filter\":{},\"" + beyond + "}");
            assertThat(answer.status()).isEqualTo(422);
            assertThat(answer.body()).contains("/" + beyond.substring(0, beyond.indexOf('"')));
        }
        String csv = desk.call("GET", "/dead-letters/export?format=csv&q=" + id, null)
                .body();
        assertThat(csv.lines()).hasSize(2);
        assertThat(csv).contains("\"'=cmd|").doesNotContain("13612345678");
        String lines = desk.call("GET", "/dead-letters/export?q=" + id, null).body();
        assertThat(lines.lines()).hasSize(1);
        ObjectNode letter = (ObjectNode) Json.read(lines);
        assertThat(letter.path("message").path("nickname").asText()).isNotEmpty();
        assertThat(lines).doesNotContain("13612345678");
    }

    private static void send(String topic, String key, String value, Map<String, byte[]> headers) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", neighbours.broker.address());
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            ProducerRecord<String, byte[]> record =
                    new ProducerRecord<>(topic, key, value.getBytes(StandardCharsets.UTF_8));
            headers.forEach((name, bytes) -> record.headers().add(name, bytes));
            producer.send(record).get();
        }
    }
}
