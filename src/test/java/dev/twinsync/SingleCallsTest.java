package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.MiniProgram.Fault;
import dev.twinsync.proof.Anomaly;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A mini-program without a batch endpoint, and one that answers badly. */
class SingleCallsTest {

    private final Ends ends = Ends.shared();

    @BeforeEach
    void noBatches() {
        ends.mini.batches(false);
    }

    @AfterEach
    void batchesAgain() {
        ends.mini.letGo();
        ends.mini.batches(true);
    }

    @Test
    @Anomaly(Anomaly.Of.A12)
    void keysAreWrittenSideBySideAndWhateverIsAnsweredEachHasOneEffect() {
        Ends.Oracle oracle = ends.new Oracle();
        ends.mini.hold();
        ends.app.update("""
                insert into orders (order_id, user_id, status, payment_amount)
                select 'one-' || n, 'u', 'paid', n from generate_series(1, 60) n""");
        Ends.soon(() -> assertThat(ends.mini.underWay()).isGreaterThan(3));
        ends.mini.letGo();
        ends.quiet("one-");
        assertThat(ends.differences("order", "one-")).isEmpty();

        ends.mini.next(
                409, 429, Fault.HTML, Fault.CUT, Fault.APPLIED_THEN_RESET, Fault.RESET, 503, Fault.APPLIED_THEN_RESET);
        ends.app.update("""
                update orders set status = 'shipped', carrier = '顺丰', updated_at = now() where starts_with(order_id, 'one-')""");
        Ends.soon(() -> assertThat(ends.mini.all("order").entrySet().stream()
                        .filter(order -> order.getKey().startsWith("one-")
                                && order.getValue().path("status").asText().equals("shipped")))
                .hasSize(60));
        ends.quiet("one-");
        assertThat(ends.differences("order", "one-")).isEmpty();
        assertThat(ends.letters("q=one-")).isEmpty();
        oracle.sawNothingWrong();
    }
}
