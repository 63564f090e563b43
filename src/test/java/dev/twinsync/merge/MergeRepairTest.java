package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.proof.Anomaly;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What becomes of a look that is known to show damage. */
class MergeRepairTest extends MergeStory {

    private static final Map<String, JsonNode> ROW =
            Map.of("a", TextNode.valueOf("x"), "status", TextNode.valueOf("paid"), "deleted", BooleanNode.FALSE);
    private static final Map<String, JsonNode> FORGED = Map.of(
            "a", TextNode.valueOf("forged"),
            "status", TextNode.valueOf("pending_payment"),
            "deleted", BooleanNode.FALSE);

    @BeforeEach
    void bothEndsAreEqual() {
        merge(look(Observation.Kind.READING, "app", ROW, "p1", 1, 2));
        merge(look(Observation.Kind.READING, "mini", ROW, "m1", 3, 4));
        assertThat(Due.is(schema, golden, bases.get("mini"))).isFalse();
    }

    @Test
    void theGoldenRecordIsStatedAgainInANewVersion() {
        Golden before = golden;
        Merge.Result result = merge(look(Observation.Kind.REPAIR, "mini", FORGED, "m1", 10, 11));
        assertThat(result.golden().version()).isEqualTo(before.version() + 1);
        assertThat(result.golden().fields()).isEqualTo(before.fields());
        assertThat(result.moves()).isEmpty();
        assertThat(result.conflicts()).isEmpty();
        assertThat(result.mended().get("a").from()).isEqualTo(TextNode.valueOf("forged"));
        assertThat(result.mended().get("a").to()).isEqualTo(TextNode.valueOf("x"));
        assertThat(Due.paths(schema, golden, bases.get("mini"))).containsExactlyInAnyOrder("a", "status");
        assertThat(Due.is(schema, golden, bases.get("app"))).isFalse();
        assertThat(bases.get("mini").position()).isEqualTo("m1");
    }

    @Test
    void theSameRepairTwiceIsOne() {
        Observation repair = look(Observation.Kind.REPAIR, "mini", FORGED, "m1", 10, 11);
        merge(repair);
        long version = golden.version();
        assertThat(merge(repair).outcome()).isEqualTo(Merge.Outcome.STALE);
        assertThat(golden.version()).isEqualTo(version);
    }

    @Test
    void aRecordThatIsGoneIsOwedAllOfIt() {
        Observation gone = look(Observation.Kind.REPAIR, "mini", Map.of(), null, 10, 11);
        merge(new Observation(
                gone.kind(),
                "thing",
                "1",
                "mini",
                false,
                gone.data(),
                null,
                gone.ticks(),
                null,
                gone.observedAt(),
                "e",
                null));
        assertThat(golden.deleted()).isFalse();
        assertThat(Due.paths(schema, golden, bases.get("mini"))).contains("a", "status");
    }

    @Test
    @Anomaly(Anomaly.Of.A18)
    void whatTheSystemHasChangedSinceIsItsOwnEdit() {
        Map<String, JsonNode> edited = new HashMap<>(ROW);
        edited.put("a", TextNode.valueOf("later"));
        Merge.Result result = merge(look(Observation.Kind.REPAIR, "mini", edited, "m2", 10, 11));
        assertThat(result.mended()).isEmpty();
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("later"));
        assertThat(Due.is(schema, golden, bases.get("app"))).isTrue();
    }

    @Test
    @Anomaly(Anomaly.Of.A18)
    void whatHasBeenLearnedSinceTheLookWins() {
        merge(look(Observation.Kind.READING, "mini", ROW, "m1", 20, 21));
        Base known = bases.get("mini");
        assertThat(merge(look(Observation.Kind.REPAIR, "mini", FORGED, "m1", 10, 11))
                        .outcome())
                .isEqualTo(Merge.Outcome.STALE);
        assertThat(bases.get("mini")).isEqualTo(known);
    }

    @Test
    void aBaseInDoubtOrWhoseLastWriteWasNotSeenIsNotRepaired() {
        Base quiet = bases.get("mini");
        Base written =
                Writes.answered(quiet, Map.of("a", TextNode.valueOf("y")), "m1", new Ticks(5, 6), golden.version());
        for (Base busy : List.of(quiet.doubted(5), written)) {
            bases = Map.of("app", bases.get("app"), "mini", busy);
            assertThat(merge(look(Observation.Kind.REPAIR, "mini", FORGED, "m1", 10, 11))
                            .outcome())
                    .isEqualTo(Merge.Outcome.STALE);
            assertThat(bases.get("mini")).isEqualTo(busy);
        }
    }

    private static Observation look(
            Observation.Kind kind, String system, Map<String, JsonNode> row, String position, long began, long ended) {
        ObjectNode data = Json.MAPPER.createObjectNode();
        row.forEach(data::set);
        return observation(
                kind, system, data, position, new Ticks(began, ended), Instant.EPOCH.plusSeconds(ended), 1000);
    }
}
