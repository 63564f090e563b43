package dev.twinsync.state;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Echo;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records.Held;
import dev.twinsync.state.Records.Settled;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.springframework.stereotype.Component;

/**
 * Takes the echoes out of what was read, before it goes on its way to the merge: of every change that crosses, half of
 * the readings are echoes. Each is found by the same rule that the merge would apply, and its base is left as the merge
 * would leave it.
 */
@Component
public class Echoes {

    /** What the answer of a write takes to be stored, at most; a reading that waits for longer goes to the merge. */
    private static final Duration PATIENCE = Duration.ofMillis(300);

    private final Records records;
    private final UnderWay underWay;
    private final MergeReports reports;

    Echoes(Records records, UnderWay underWay, MergeReports reports) {
        this.records = records;
        this.underWay = underWay;
        this.reports = reports;
    }

    /**
     * The same once the writes of ours that the readings may show have been answered, or not for a while.
     *
     * @return the readings that may be more than echoes, in their order
     */
    public List<Observation> awaited(String system, Schema schema, List<Observation> readings) {
        underWay.awaitNone(
                system, schema.entity(), readings.stream().map(Observation::id).toList(), PATIENCE);
        return without(system, schema, readings);
    }

    /** @return the readings that may be more than echoes, in their order */
    public List<Observation> without(String system, Schema schema, List<Observation> readings) {
        Map<String, Observation> shown = new HashMap<>();
        Map<String, String> positions = new HashMap<>();
        Set<String> twice = new HashSet<>();
        for (Observation reading : readings) {
            if (shown.put(reading.id(), reading) != null) {
                twice.add(reading.id());
            }
            if (reading.exists() && reading.position() != null) {
                positions.put(reading.id(), reading.position());
            }
        }
        // what was read twice in one go is the merge's, which takes it in order
        positions.keySet().removeAll(twice);
        if (positions.isEmpty()) {
            return readings;
        }
        Map<String, Map<String, JsonNode>> rows = new HashMap<>();
        Map<String, Held> alike = records.alike(schema.entity(), system, positions, id -> {
            Schema.Normalised normalised = schema.normalise(shown.get(id).data(), true);
            rows.put(id, normalised.values());
            return normalised.problems().isEmpty() ? normalised.values() : null;
        });
        Set<String> echoes = new HashSet<>();
        Map<String, Settled> settled = new HashMap<>();
        alike.forEach((id, held) -> {
            Observation reading = shown.get(id);
            Base left = Echo.of(held.base(), reading, rows.get(id));
            if (left == null) {
                return;
            }
            boolean told = left.sent().equals(held.base().sent())
                    && held.base().wrote() == null
                    && Objects.equals(reading.digest(), held.digest());
            if (told) {
                echoes.add(id);
            } else {
                settled.put(id, new Settled(left, reading.observedAt(), reading.digest()));
            }
        });
        if (!settled.isEmpty()) {
            echoes.addAll(records.settle(schema.entity(), system, settled));
        }
        echoes.forEach(id -> reports.echo(schema.entity(), shown.get(id)));
        return readings.stream()
                .filter(reading -> !echoes.contains(reading.id()))
                .toList();
    }
}
