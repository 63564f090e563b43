package dev.twinsync.state;

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
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.DataAccessException;
import org.springframework.stereotype.Component;
import org.springframework.transaction.TransactionException;

/**
 * Takes the echoes out of what was read, before it goes on its way to the merge: of every change that crosses, half of
 * the readings are echoes. Each is found by the same rule that the merge would apply, and its base is left as the merge
 * would leave it.
 */
@Component
public class Echoes {

    private static final Logger LOG = LoggerFactory.getLogger(Echoes.class);

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
     * Hands on the readings that may be more than echoes. Those of records that are being written wait until the answer
     * is stored, or not for a while; they hold up no other.
     */
    public void pass(String system, Schema schema, List<Observation> readings, Consumer<List<Observation>> on) {
        Set<String> written = underWay.of(
                system, schema.entity(), readings.stream().map(Observation::id).toList());
        List<Observation> first = readings.stream()
                .filter(reading -> !written.contains(reading.id()))
                .toList();
        on.accept(without(system, schema, first));
        if (!written.isEmpty()) {
            underWay.awaitNone(system, schema.entity(), written, PATIENCE);
            List<Observation> then = readings.stream()
                    .filter(reading -> written.contains(reading.id()))
                    .toList();
            on.accept(without(system, schema, then));
        }
    }

    private List<Observation> without(String system, Schema schema, List<Observation> readings) {
        Map<String, Observation> shown = new HashMap<>();
        Map<String, String> positions = new HashMap<>();
        Set<String> twice = new HashSet<>();
        for (Observation reading : readings) {
            if (shown.put(reading.id(), reading) != null) {
                twice.add(reading.id());
            }
            // a position that can't be stored is the merge's to refuse
            if (reading.exists()
                    && reading.position() != null
                    && reading.position().indexOf('\0') < 0) {
                positions.put(reading.id(), reading.position());
            }
        }
        // what was read twice in one go is the merge's, which takes it in order
        positions.keySet().removeAll(twice);
        if (positions.isEmpty()) {
            return readings;
        }
        Map<String, Held> alike = records.alike(schema.entity(), system, positions, id -> {
            Schema.Normalised normalised = schema.normalise(shown.get(id).data(), true);
            return normalised.problems().isEmpty() ? normalised.values() : null;
        });
        Set<String> echoes = new HashSet<>();
        Map<String, Settled> settled = new HashMap<>();
        alike.forEach((id, held) -> {
            Observation reading = shown.get(id);
            Base left = Echo.of(held.base(), reading, held.version());
            if (left == null) {
                return;
            }
            boolean told = left.ticks().equals(held.base().ticks())
                    && left.sent().equals(held.base().sent())
                    && held.base().wrote() == null
                    && Objects.equals(reading.digest(), held.digest());
            if (told) {
                echoes.add(id);
            } else {
                settled.put(id, new Settled(left, reading.observedAt(), reading.digest()));
            }
        });
        if (!settled.isEmpty()) {
            try {
                echoes.addAll(records.settle(schema.entity(), system, settled));
            } catch (DataAccessException | TransactionException e) {
                // then the merge does it
                LOG.debug("{} echoes of {} go on to the merge: {}", settled.size(), system, e.toString());
            }
        }
        echoes.forEach(id -> reports.echo(schema.entity(), shown.get(id)));
        return readings.stream()
                .filter(reading -> !echoes.contains(reading.id()))
                .toList();
    }
}
