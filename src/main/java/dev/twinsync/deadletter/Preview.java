package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Records;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.stereotype.Component;

/** What a retry would do now, told without doing it: the same judgement as delivery's, over the state as it is. */
@Component
class Preview {

    /** What would happen first. */
    enum Would {
        /** Fields would be sent to the system. */
        SEND,
        /** Nothing is due: the letter would be closed. */
        CLOSE,
        /** Required fields are not there yet: the record goes on waiting. */
        WAIT,
        /** What the system holds is in doubt, or the letter is of a field: the record would be read. */
        READ,
        /** The message would be put on its topic again. */
        PUT_BACK,
        /** It can't be retried here. */
        NOTHING
    }

    /**
     * @param values due paths and their values
     * @param from the paths' values at the system
     * @param waitingFor fields that are missing
     */
    record Outcome(
            Would would,
            String system,
            long version,
            Map<String, JsonNode> from,
            Map<String, JsonNode> values,
            List<String> waitingFor,
            String topic) {}

    static final Outcome NOTHING = new Outcome(Would.NOTHING, null, 0, Map.of(), Map.of(), List.of(), null);

    private final Schemas schemas;
    private final Masks masks;

    Preview(Schemas schemas, Masks masks) {
        this.schemas = schemas;
        this.masks = masks;
    }

    JsonNode masked(byte[] message) {
        return masks.message(message);
    }

    Outcome of(Schema schema, String slot, JsonNode headers, Records.Snapshot snapshot, String system) {
        return switch (Letter.kind(slot)) {
            case FIELD -> outcome(Would.READ, system, snapshot);
            case MESSAGE, UNKNOWN -> {
                String topic = headers.path("kafka_dlt-original-topic").asText("");
                yield new Outcome(
                        owns(topic) ? Would.PUT_BACK : Would.NOTHING,
                        system,
                        snapshot.golden().version(),
                        Map.of(),
                        Map.of(),
                        List.of(),
                        topic);
            }
            case DELIVERY -> delivery(schema, snapshot, system);
        };
    }

    /** Whether a topic is one that this service works. */
    boolean owns(String topic) {
        return topic.matches("[^.]+\\.(observed|changed)") && schemas.has(DeadLetters.entity(topic));
    }

    static Outcome delivery(Schema schema, Records.Snapshot snapshot, String system) {
        Golden golden = snapshot.golden();
        Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
        if (base.doubt()) {
            return outcome(Would.READ, system, snapshot);
        }
        Map<String, JsonNode> values = new TreeMap<>();
        Map<String, JsonNode> from = new LinkedHashMap<>();
        for (String path : Due.paths(schema, golden, base)) {
            values.put(path, golden.value(path));
            from.put(path, base.exists() ? base.held().get(path) : null);
        }
        if (values.isEmpty()) {
            return outcome(Would.CLOSE, system, snapshot);
        }
        List<String> missing = Due.waitingFor(schema, golden, base);
        return new Outcome(
                missing.isEmpty() ? Would.SEND : Would.WAIT, system, golden.version(), from, values, missing, null);
    }

    private static Outcome outcome(Would would, String system, Records.Snapshot snapshot) {
        return new Outcome(would, system, snapshot.golden().version(), Map.of(), Map.of(), List.of(), null);
    }

    /** Masked, with a sentence for whoever reads it. */
    static ObjectNode json(Schema schema, Outcome outcome) {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.put("would", outcome.would().name().toLowerCase(java.util.Locale.ROOT));
        json.put("version", outcome.version());
        ObjectNode fields = json.putObject("fields");
        outcome.values().forEach((path, value) -> {
            ObjectNode field = fields.putObject(path);
            field.set("from", Masks.value(schema, path, outcome.from().get(path)));
            field.set("to", Masks.value(schema, path, value));
        });
        ArrayNode waiting = json.putArray("waiting_for");
        outcome.waitingFor().forEach(waiting::add);
        json.put("topic", outcome.topic());
        json.put(
                "text",
                switch (outcome.would()) {
                    case SEND ->
                        "would send " + String.join(", ", outcome.values().keySet()) + " of version "
                                + outcome.version() + " → " + outcome.system();
                    case CLOSE -> "nothing is due: the letter would be closed";
                    case WAIT -> "waits for " + String.join(", ", outcome.waitingFor());
                    case READ -> "would read the record at " + outcome.system() + " first";
                    case PUT_BACK -> "would put the message on " + outcome.topic() + " again";
                    case NOTHING -> "can't be retried here: it is of another service";
                });
        return json;
    }
}
