package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What befalls one record at two ends, step by step. */
abstract class MergeStory {

    final TestSchema schema = new TestSchema(List.of("app", "mini"));
    Golden golden = Golden.none("1");
    Map<String, Base> bases = Map.of();

    void intended(String system, String value) {
        put(Writes.intended(bases.get(system), Map.of("a", TextNode.valueOf(value))));
    }

    /** The write was answered, and no reading has shown what became of it. */
    void answered(String system) {
        Base base = bases.get(system);
        put(Writes.answered(base, golden.values(), system + golden.version(), after(base), golden.version()));
    }

    void delivered(String system) {
        Base base = bases.get(system);
        put(Writes.answered(
                base,
                golden.values(),
                golden.values(),
                Set.of(),
                system + golden.version(),
                after(base),
                golden.version()));
    }

    private static Ticks after(Base base) {
        return new Ticks(base.ticks().ended() + 5, base.ticks().ended() + 6);
    }

    private void put(Base base) {
        bases = new HashMap<>(bases);
        bases.put(base.system(), base);
    }

    Merge.Result merge(Observation o) {
        Map<String, JsonNode> values = schema.normalise(o.data(), true).values();
        Merge.Result result = Merge.merge(schema, golden, bases, o, values, Set.of(), 100);
        golden = result.golden();
        bases = result.bases();
        return result;
    }

    static Observation push(String value, long arrived) {
        ObjectNode data = Json.MAPPER.createObjectNode().put("a", value);
        return observation(Observation.Kind.PUSH, "mini", data, null, null, null, arrived);
    }

    static Observation reading(String system, String value, long began) {
        ObjectNode data = Json.MAPPER
                .createObjectNode()
                .put("a", value)
                .put("status", "paid")
                .put("deleted", false);
        return observation(
                Observation.Kind.READING,
                system,
                data,
                system + '/' + began,
                new Ticks(began, began + 1),
                Instant.EPOCH.plusSeconds(began),
                began + 1);
    }

    static Observation observation(
            Observation.Kind kind,
            String system,
            ObjectNode data,
            String position,
            Ticks ticks,
            Instant changed,
            long arrived) {
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
