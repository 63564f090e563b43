package dev.twinsync.delivery;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.merge.Base;
import dev.twinsync.record.Json;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class LoneFailuresTest {

    private static final CallFailed CAUSE = new CallFailed(503, "try later", null, null, null);
    private static final Target.Result FAILED = new Target.Result.Failed(CAUSE);
    private static final Target.Result PASSED = new Target.Result.Written(Base.unknown("mini"));

    private final FailurePolicy policy = new FailurePolicy();
    private final LoneFailures alone = new LoneFailures(policy);

    private static List<Target.Item> items(String... ids) {
        ObjectNode data = Json.MAPPER.createObjectNode();
        return Stream.of(ids)
                .map(id -> new Target.Item(id, Base.unknown("mini"), Map.of(), data, "k", 1))
                .toList();
    }

    @Test
    void aRecordThatFailsWhileOthersPassIsRefusedAfterSoManyTries() {
        for (int i = 1; i < policy.loneFailures(); i++) {
            assertThat(alone.judged("mini/order", items("bad", "good"), List.of(FAILED, PASSED)))
                    .containsExactly(FAILED, PASSED);
        }
        assertThat(alone.judged("mini/order", items("bad", "good"), List.of(FAILED, PASSED)))
                .containsExactly(new Target.Result.Refused(CAUSE), PASSED);
    }

    @Test
    void whereNothingPassesTheEndpointIsAwayHoweverOften() {
        for (int i = 0; i < 3 * policy.loneFailures(); i++) {
            assertThatThrownBy(() -> alone.judged("mini/order", items("a", "b"), List.of(FAILED, FAILED)))
                    .hasCause(CAUSE);
        }
    }

    @Test
    void aRecordAloneInItsSetCountsOnlyWhereOthersHavePassedMeanwhile() {
        assertThatThrownBy(() -> alone.judged("mini/order", items("bad"), List.of(FAILED)))
                .hasCause(CAUSE);
        assertThatThrownBy(() -> alone.judged("mini/order", items("bad"), List.of(FAILED)))
                .hasCause(CAUSE);
        alone.judged("mini/order", items("good"), List.of(PASSED));
        assertThat(alone.judged("mini/order", items("bad"), List.of(FAILED))).containsExactly(FAILED);
    }

    @Test
    void whatPassesIsForgottenAndTheWaitGrows() {
        alone.judged("mini/order", items("bad", "good"), List.of(FAILED, PASSED));
        assertThat(alone.pause("mini/order", "bad")).hasSeconds(2);
        alone.judged("mini/order", items("bad", "good"), List.of(FAILED, PASSED));
        assertThat(alone.pause("mini/order", "bad")).hasSeconds(4);
        alone.judged("mini/order", items("bad"), List.of(PASSED));
        assertThat(alone.pause("mini/order", "bad")).hasSeconds(1);
    }
}
