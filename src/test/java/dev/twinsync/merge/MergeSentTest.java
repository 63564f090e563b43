package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A write whose answer was lost, after one whose echo nobody saw. */
class MergeSentTest {

    private final TestSchema schema = new TestSchema(List.of("app", "mini"));
    private Golden golden = Golden.none("1");
    private Map<String, Base> bases = Map.of();

    @BeforeEach
    void bothEndsAreEqual() {
        merge(reading("app", "0", 1));
        merge(reading("mini", "0", 3));
    }

    /** The value of the second must not pass for how the system renders the first, once the first is true again. */
    @Test
    void whatASystemHoldsOfTheSecondIsWrittenOverWhenTheFirstIsTrueAgain() {
        merge(reading("app", "1", 10));
        delivered("mini");
        merge(reading("app", "2", 20));
        intended("mini", "2");
        merge(reading("app", "1", 30));
        // it was written, and its answer was lost
        merge(reading("mini", "2", 40));
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("1"));
        assertThat(Due.altered(bases.get("mini"))).isEmpty();
        assertThat(Due.paths(schema, golden, bases.get("mini"))).containsExactly("a");
    }

    private void intended(String system, String value) {
        put(Writes.intended(bases.get(system), Map.of("a", TextNode.valueOf(value))));
    }

    private void delivered(String system) {
        Base base = bases.get(system);
        put(Writes.answered(
                base,
                golden.values(),
                system + golden.version(),
                new Ticks(base.ticks().ended() + 5, base.ticks().ended() + 6),
                golden.version()));
    }

    private void put(Base base) {
        bases = new HashMap<>(bases);
        bases.put(base.system(), base);
    }

    private void merge(Observation o) {
        Map<String, JsonNode> values = schema.normalise(o.data(), true).values();
        Merge.Result result = Merge.merge(schema, golden, bases, o, values, Set.of(), 100);
        golden = result.golden();
        bases = result.bases();
    }

    private static Observation reading(String system, String value, long began) {
        return observation(
                Observation.Kind.READING,
                system,
                value,
                system + '/' + began,
                new Ticks(began, began + 1),
                Instant.EPOCH.plusSeconds(began),
                began + 1);
    }

    private static Observation observation(
            Observation.Kind kind,
            String system,
            String value,
            String position,
            Ticks ticks,
            Instant changed,
            long arrived) {
        ObjectNode data = Json.MAPPER.createObjectNode().put("a", value);
        if (kind == Observation.Kind.READING) {
            data.put("status", "paid").put("deleted", false);
        }
        return new Observation(
                kind,
                "thing",
                "1",
                system,
                true,
                data,
                position,
                ticks,
                changed,
                Instant.EPOCH.plusSeconds(arrived),
                "e" + arrived,
                null);
    }
}
