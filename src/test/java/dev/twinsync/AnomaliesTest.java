package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.proof.Anomaly;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Ways in which other systems lose changes or go back, for which no test stands elsewhere. */
class AnomaliesTest {

    private static int number;

    private final Ends ends = Ends.shared();
    private final String id = "ano-" + ++number;

    private void order(String status) {
        ends.app.update(
                "insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', ?, 1)", id, status);
        Ends.soon(() -> assertThat(status()).isEqualTo(status));
    }

    private String status() {
        return ends.mini.read("order", id).path("status").asText();
    }

    private void set(String assignment) {
        ends.app.update("update orders set " + assignment + ", updated_at = clock_timestamp() where order_id = ?", id);
    }

    @Test
    @Anomaly(Anomaly.Of.A5)
    void anAnswerThatIsNoneMovesNoCursor() {
        ends.mini.edit("user", id, Map.of("nickname", "前"));
        Ends.soon(() ->
                assertThat(ends.get("/users/" + id).path("version").asLong()).isPositive());
        int failed = ends.mini.failed();
        ends.mini.distort(
                (path, body) -> "{\"code\":0,\"items\":[{}],\"next\":\"999999999\"}".getBytes(StandardCharsets.UTF_8));
        try {
            ends.mini.edit("user", id, Map.of("nickname", "后"));
            Ends.soon(() -> assertThat(ends.mini.failed()).isGreaterThan(failed + 1));
        } finally {
            ends.mini.distort(null);
        }
        Ends.soon(() -> assertThat(
                        ends.app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                .isEqualTo("后"));
    }

    @Test
    @Anomaly(Anomaly.Of.A5)
    void anOrderMadeYearsAgoIsSeenWhenItChanges() {
        ends.app.update(
                "insert into orders (order_id, user_id, status, payment_amount, created_at, updated_at)"
                        + " values (?, 'u', 'shipped', 1, '2019-01-01', now())",
                id);
        Ends.soon(() -> assertThat(status()).isEqualTo("shipped"));
        set("status = 'delivered'");
        Ends.soon(() -> assertThat(status()).isEqualTo("delivered"));
    }

    @Test
    @Anomaly(Anomaly.Of.A5)
    void theCursorIsKeptWithWhatItHasPassed() {
        String before = cursor();
        order("paid");
        Ends.soon(() -> assertThat(cursor()).isGreaterThan(before));
    }

    private String cursor() {
        return ends.state.queryForObject(
                "select value ->> 'at' from cursor where name = 'poll-app-orders'", String.class);
    }

    @Test
    @Anomaly(Anomaly.Of.A5)
    void anOrderThatPassesThroughManyStatusesBetweenTwoLooksIsSeen() {
        order("pending_payment");
        for (String status : List.of("paid", "shipped", "delivered", "completed", "refunding", "refunded")) {
            set("status = '" + status + "'");
        }
        Ends.soon(() -> assertThat(status()).isEqualTo("refunded"));
    }

    @Test
    @Anomaly(Anomaly.Of.A6)
    void aStatusThatComesLateOrAgainChangesNothing() {
        order("shipped");
        long version = ends.get("/orders/" + id).path("version").asLong();
        for (String status : List.of("paid", "待支付", "shipped", "cancelled")) {
            assertThat(ends.post(
                                    "mini-key",
                                    "/sync_order_data",
                                    "{\"order_id\":\"" + id + "\",\"data\":{\"status\":\"" + status + "\"}}")
                            .statusCode())
                    .isEqualTo(202);
        }
        ends.quiet(id);
        assertThat(ends.get("/orders/" + id).path("version").asLong()).isEqualTo(version);
        assertThat(status()).isEqualTo("shipped");
        assertThat(ends.app.queryForObject("select status from orders where order_id = ?", String.class, id))
                .isEqualTo("shipped");
    }

    @Test
    @Anomaly(Anomaly.Of.A11)
    void everyTryOfAWriteGoesOutUnderTheSameKeyWithTheSameBody() {
        order("paid");
        ends.mini.next(MiniProgram.Fault.APPLIED_THEN_RESET, MiniProgram.Fault.APPLIED_THEN_RESET);
        set("status = 'shipped'");
        Ends.soon(() -> assertThat(writes().size()).isGreaterThanOrEqualTo(3));
        ends.quiet(id);
        assertThat(writes().stream().map(write -> write.key() + write.data()).distinct())
                .hasSize(1);
        assertThat(status()).isEqualTo("shipped");
    }

    private List<MiniProgram.Write> writes() {
        return ends.mini.writes().stream()
                .filter(write -> write.id().equals(id)
                        && write.data().path("status").asText().equals("shipped"))
                .toList();
    }
}
