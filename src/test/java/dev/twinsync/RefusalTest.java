package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.proof.Anomaly;
import dev.twinsync.record.Json;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Orders that the mini-program refuses, and what becomes of their letters. */
class RefusalTest {

    private static int number;

    private final Ends ends = Ends.shared();
    private String id;

    @BeforeEach
    void freshRecord() {
        id = "ref-" + ++number;
        ends.mini.refuse("order", id, 422);
    }

    @AfterEach
    void refuseNothing() {
        ends.mini.allow("order", id);
    }

    private void insert() {
        ends.app.update(
                "insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 10)", id);
    }

    private void edit(String method) {
        ends.app.update(
                "update orders set tracking_number = ?, updated_at = clock_timestamp() where order_id = ?", method, id);
    }

    /** The one open letter of the record. */
    private long open() {
        Ends.soon(() -> assertThat(ends.letters("state=open&key=" + id)).hasSize(1));
        return ends.letters("state=open&key=" + id).get(0).path("id").asLong();
    }

    private void becomes(long letter, String state) {
        Ends.soon(() -> assertThat(ends.letter(letter).path("state").asText()).isEqualTo(state));
    }

    private long refusals() {
        return ends.mini.writes().stream()
                .filter(w -> w.id().equals(id) && w.code() == 422)
                .count();
    }

    @Test
    @Anomaly(Anomaly.Of.A20)
    void oneRefusedOrderHoldsUpNoneOfTheHundredsBesideIt() {
        ends.mini.allow("order", id);
        id = "ref-many-150";
        ends.mini.refuse("order", id, 422);
        ends.app.update("""
                insert into orders (order_id, user_id, status, payment_amount)
                select 'ref-many-' || n, 'u', 'paid', n from generate_series(1, 300) n""");
        long letter = open();
        Ends.soon(() -> assertThat(
                        ends.mini.all("order").keySet().stream().filter(order -> order.startsWith("ref-many-")))
                .hasSize(299));
        assertThat(ends.mini.read("order", id)).isNull();
        assertThat(ends.letters("q=ref-many-")).hasSize(1);

        ends.mini.allow("order", id);
        assertThat(ends.act(letter, "retry", "{}").statusCode()).isEqualTo(202);
        becomes(letter, "resolved");
        ends.quiet("ref-many-");
        assertThat(ends.differences("order", "ref-many-")).isEmpty();
    }

    @Test
    void aNewerVersionThatGetsThroughSupersedesTheLetterAndItsRetryChangesNothing() {
        insert();
        long letter = open();
        ends.mini.allow("order", id);
        edit("new");
        becomes(letter, "superseded");
        assertThat(ends.mini
                        .read("order", id)
                        .path("shipping_info")
                        .path("tracking_number")
                        .asText())
                .isEqualTo("new");
        long version = ends.get("/orders/" + id).path("version").asLong();
        long writes = ends.mini.writes().size();
        HttpResponse<String> retry = ends.act(letter, "retry", "{}");
        assertThat(retry.statusCode()).isEqualTo(409);
        assertThat(retry.body()).contains("superseded");
        ends.quiet(id);
        assertThat(ends.mini.writes()).hasSize((int) writes);
        assertThat(ends.get("/orders/" + id).path("version").asLong()).isEqualTo(version);
    }

    @Test
    @Anomaly(Anomaly.Of.A10)
    void aNewerVersionThatIsRefusedTakesTheLettersPlace() {
        insert();
        long former = open();
        edit("new");
        becomes(former, "superseded");
        long latter = open();
        assertThat(latter).isNotEqualTo(former);
        assertThat(ends.letter(former).path("superseded_by").asLong()).isEqualTo(latter);
        assertThat(ends.letter(latter).path("version").asLong())
                .isGreaterThan(ends.letter(former).path("version").asLong());
        assertThat(ends.letters("key=" + id)).hasSize(2);
    }

    @Test
    void aRetryThatIsRefusedAgainIsTheSameLetterWithOneAttemptMore() {
        insert();
        long letter = open();
        assertThat(ends.act(letter, "retry", "{}").statusCode()).isEqualTo(202);
        Ends.soon(() -> assertThat(ends.letter(letter).path("attempts").asInt()).isEqualTo(2));
        assertThat(open()).isEqualTo(letter);
        assertThat(ends.letters("key=" + id)).hasSize(1);
        assertThat(refusals()).isEqualTo(2);
    }

    @Test
    void twoRetriesAtOnceAreOne() {
        insert();
        long letter = open();
        ends.mini.hold();
        try {
            List<CompletableFuture<HttpResponse<String>>> retries = java.util.stream.IntStream.range(0, 8)
                    .mapToObj(n -> CompletableFuture.supplyAsync(() -> ends.act(letter, "retry", "{}")))
                    .toList();
            assertThat(retries.stream().map(CompletableFuture::join).map(answer -> {
                        assertThat(answer.statusCode()).isEqualTo(202);
                        return Json.read(answer.body()).path("operation").asText();
                    }))
                    .hasSize(8)
                    .containsOnly(String.valueOf(ends.app.queryForObject(
                            "select operation from sync.retry_item where letter = ?", Long.class, letter)));
        } finally {
            ends.mini.letGo();
        }
        Ends.soon(() -> assertThat(ends.letter(letter).path("attempts").asInt()).isEqualTo(2));
        assertThat(ends.letter(letter).path("retries")).hasSize(1);
        assertThat(refusals()).isEqualTo(2);
    }

    @Test
    void aRetryWithAnEditMendsTheRecordAtBothEnds() {
        insert();
        long letter = open();
        HttpResponse<String> wrong = ends.act(letter, "retry", "{\"body\":{\"payment_amount\":\"ten\"}}");
        assertThat(wrong.statusCode()).isEqualTo(422);
        assertThat(wrong.body()).contains("payment_amount");
        assertThat(ends.letter(letter).path("state").asText()).isEqualTo("open");

        ends.mini.allow("order", id);
        assertThat(ends.act(
                                letter,
                                "retry",
                                "{\"reason\":\"the shop asked\",\"body\":{\"shipping_info\":{\"carrier\":\"顺丰\"}}}")
                        .statusCode())
                .isEqualTo(202);
        becomes(letter, "resolved");
        ends.quiet(id);
        assertThat(ends.app.queryForObject("select carrier from orders where order_id = ?", String.class, id))
                .isEqualTo("SF");
        assertThat(ends.mini
                        .read("order", id)
                        .path("payment_amount")
                        .decimalValue()
                        .intValueExact())
                .isEqualTo(10);
        assertThat(ends.differences("order", id)).isEmpty();
        JsonNode retry = ends.letter(letter).path("retries").path(0);
        assertThat(retry.path("reason").asText()).isEqualTo("the shop asked");
    }

    @Test
    void aDiscardedLetterIsLeftAloneUntilItIsRestored() {
        insert();
        long letter = open();
        assertThat(ends.act(letter, "discard", "{}").statusCode()).isEqualTo(422);
        assertThat(ends.act(letter, "discard", "{\"reason\":\"a test order\"}").statusCode())
                .isEqualTo(200);
        assertThat(ends.letter(letter).path("state").asText()).isEqualTo("discarded");
        assertThat(ends.act(letter, "retry", "{}").statusCode()).isEqualTo(409);
        assertThat(ends.act(letter, "restore", "{}").statusCode()).isEqualTo(200);
        assertThat(open()).isEqualTo(letter);
        assertThat(ends.act(letter, "restore", "{}").statusCode()).isEqualTo(409);

        ends.mini.allow("order", id);
        assertThat(ends.act(letter, "retry", "{}").statusCode()).isEqualTo(202);
        becomes(letter, "resolved");
    }

    @Test
    void aDiscardedLetterDoesNotComeBackBesideANewerOne() {
        insert();
        long former = open();
        ends.act(former, "discard", "{\"reason\":\"not now\"}");
        edit("new");
        long latter = open();
        assertThat(latter).isNotEqualTo(former);
        assertThat(ends.act(former, "restore", "{}").statusCode()).isEqualTo(409);
        assertThat(ends.letters("state=open&key=" + id)).hasSize(1);
    }
}
