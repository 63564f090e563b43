package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Three systems have seen the same record, then each makes an edit of its own; their readings arrive in every order. */
final class Race {

    private Race() {}

    /** The golden values that the six orders of arrival end with. */
    static Set<Map<String, JsonNode>> outcomes(long seed) {
        Random random = new Random(seed);
        List<String> systems = List.of("app", "mini", "h5");
        TestSchema schema = new TestSchema(systems);
        Map<String, JsonNode> row = Map.of(
                "a", TextNode.valueOf("a"),
                "owned", TextNode.valueOf("o"),
                "status", TextNode.valueOf("paid"),
                "keys.x", BooleanNode.TRUE);
        Golden golden = Golden.none("1");
        Map<String, Base> bases = Map.of();
        long tick = 0;
        for (String system : systems) {
            Observation o = reading(system, row, tick, Instant.EPOCH.plusSeconds(1));
            Merge.Result result = Merge.merge(schema, golden, bases, o, row, Set.of(), tick);
            golden = result.golden();
            bases = result.bases();
            tick += 2;
        }
        List<Observation> edits = new ArrayList<>();
        for (String system : systems) {
            Map<String, JsonNode> edited = new HashMap<>(row);
            edited.put("a", TextNode.valueOf("a-" + system));
            edited.put("owned", TextNode.valueOf("o-" + system));
            edited.put("first", TextNode.valueOf("f-" + system));
            edited.put("keys.x", BooleanNode.valueOf(random.nextBoolean()));
            List<String> moves = List.of("paid", "shipped", "delivered", "refunded");
            edited.put("status", TextNode.valueOf(moves.get(random.nextInt(moves.size()))));
            edits.add(reading(system, edited, 100, Instant.EPOCH.plusSeconds(10 + random.nextInt(2))));
        }
        Set<Map<String, JsonNode>> outcomes = new HashSet<>();
        for (List<Integer> order : List.of(
                List.of(0, 1, 2),
                List.of(0, 2, 1),
                List.of(1, 0, 2),
                List.of(1, 2, 0),
                List.of(2, 0, 1),
                List.of(2, 1, 0))) {
            Golden merged = golden;
            Map<String, Base> known = bases;
            for (int i : order) {
                Observation o = edits.get(i);
                Map<String, JsonNode> values = schema.normalise(o.data(), true).values();
                Merge.Result result = Merge.merge(schema, merged, known, o, values, Set.of(), 200);
                merged = result.golden();
                known = result.bases();
            }
            outcomes.add(merged.values());
        }
        return outcomes;
    }

    private static Observation reading(String system, Map<String, JsonNode> row, long tick, Instant at) {
        ObjectNode data = Json.MAPPER.createObjectNode();
        row.forEach(data::set);
        return new Observation(
                Observation.Kind.READING,
                "thing",
                "1",
                system,
                true,
                data,
                at.toString(),
                new Ticks(tick, tick + 1),
                at,
                Instant.EPOCH.plusSeconds(1000),
                "e",
                null);
    }
}
