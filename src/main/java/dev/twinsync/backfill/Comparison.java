package dev.twinsync.backfill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the merge makes of the readings of one page, told before it does: the same pure function over the same records,
 * whose outcome is counted and not kept.
 */
final class Comparison {

    /** @param fields {@code {path: {<system>: value, golden: value}}} */
    record Difference(String id, ObjectNode fields) {}

    private final Schema schema;
    private final List<String> systems;
    private final ObjectNode counts;
    private final List<Difference> differences = new ArrayList<>();

    Comparison(Schema schema, List<String> systems, ObjectNode counts) {
        this.schema = schema;
        this.systems = systems;
        this.counts = counts;
    }

    List<Difference> differences() {
        return differences;
    }

    /** @param readings of the systems that have the record, by system */
    void compare(Records.Snapshot snapshot, Map<String, Observation> readings, long tick) {
        Golden golden = snapshot.golden();
        Map<String, Base> bases = new HashMap<>(snapshot.bases());
        Map<String, Map<String, JsonNode>> held = new HashMap<>();
        Set<String> unusable = new HashSet<>();
        for (String system : systems) {
            Observation reading = readings.get(system);
            if (reading == null || !reading.exists()) {
                continue;
            }
            Schema.Normalised normalised = schema.normalise(reading.data(), true);
            Set<String> fields = new HashSet<>();
            normalised.problems().forEach(problem -> fields.add(problem.field()));
            unusable.addAll(fields);
            held.put(system, normalised.values());
            Merge.Result merged = Merge.merge(schema, golden, bases, reading, normalised.values(), fields, tick);
            golden = merged.golden();
            bases = merged.bases();
        }
        if (held.isEmpty()) {
            return; // it went while it was read
        }
        if (!unusable.isEmpty()) {
            add(counts, "unusable");
        }
        Set<String> differing = new TreeSet<>();
        if (held.size() == 1) {
            add(counts, "only_" + held.keySet().iterator().next());
        } else {
            differing = differing(held);
            add(counts, differing.isEmpty() ? "equal" : "differs");
        }
        if (!differing.isEmpty()) {
            differences.add(new Difference(golden.id(), told(golden, held, differing)));
        }
        for (String system : schema.systems()) {
            due(golden, bases.getOrDefault(system, Base.unknown(system)));
        }
    }

    private Set<String> differing(Map<String, Map<String, JsonNode>> held) {
        Set<String> differing = new TreeSet<>();
        Set<String> paths = new HashSet<>();
        held.values().forEach(values -> paths.addAll(values.keySet()));
        for (String path : paths) {
            // what nobody states is its default
            JsonNode otherwise =
                    schema.field(path) == null ? null : schema.field(path).defaultValue();
            List<JsonNode> values = new ArrayList<>();
            held.values().forEach(of -> values.add(of.get(path) == null ? otherwise : of.get(path)));
            if (!values.stream().allMatch(value -> Due.same(value, values.get(0)))) {
                differing.add(path);
            }
        }
        return differing;
    }

    private static ObjectNode told(Golden golden, Map<String, Map<String, JsonNode>> held, Set<String> paths) {
        ObjectNode fields = Json.MAPPER.createObjectNode();
        for (String path : paths) {
            ObjectNode field = fields.putObject(path);
            held.forEach((system, values) -> field.set(system, values.get(path)));
            field.set("golden", golden.value(path));
        }
        return fields;
    }

    private void due(Golden golden, Base base) {
        if (golden.version() == 0 || golden.deleted() && !base.exists()) {
            return;
        }
        Set<String> paths = Due.paths(schema, golden, base);
        if (paths.isEmpty()) {
            return;
        }
        if (!Due.waitingFor(schema, golden, base).isEmpty()) {
            add(counts, "waiting");
            return;
        }
        ObjectNode at = counts.withObjectProperty("at").withObjectProperty(base.system());
        add(at, base.exists() ? "changed" : "made");
        if (base.exists()) {
            paths.forEach(path -> add(at.withObjectProperty("fields"), path));
        }
    }

    private static void add(ObjectNode counts, String name) {
        counts.put(name, counts.path(name).asLong() + 1);
    }
}
