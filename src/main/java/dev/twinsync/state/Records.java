package dev.twinsync.state;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Golden;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * The store of golden records, bases, conflicts and history. Reads and writes are sets: one round trip whatever the
 * number of records. Writes are fenced by the versions and revisions that were read.
 */
public interface Records {

    /**
     * @param bases by system; a system without a row has {@link Base#unknown}
     * @param delivery by system; what delivery needs beside the base
     */
    record Snapshot(Golden golden, Map<String, Base> bases, Map<String, Delivery> delivery) {}

    /**
     * @param dueSince null when nothing is due
     * @param dueVersion the newest golden version by which it was found due; 0 when nothing is
     * @param refused golden version refused for good by the system (an open letter), or null
     * @param keyNumber how many idempotency keys the golden version has used so far
     * @param keyGuard the position that the last of them was sent with as its guard, or null for none
     */
    record Delivery(
            Instant dueSince,
            long dueVersion,
            List<String> waitingFor,
            Long refused,
            int keyNumber,
            String keyGuard,
            Instant observedAt) {}

    /** Next value of the clock that all instances share. */
    long tick();

    /** Snapshots of the given records, made up where there is none yet; keys are ids. */
    Map<String, Snapshot> load(String entity, Collection<String> ids);

    /** The same with the bases of one system alone, for what concerns no other. */
    Map<String, Snapshot> load(String entity, Collection<String> ids, String system);

    /**
     * Replaces goldens and bases in one transaction, with conflicts and history.
     *
     * @return the ids whose fence failed (another writer was faster): nothing of those was written
     */
    List<String> save(String entity, Collection<Change> changes);

    /**
     * What is written of one record.
     *
     * @param golden the new golden record, or null where it is unchanged
     * @param readVersion the version that was read: 0 for none
     * @param bases the new bases, with the revision that was read; the store adds one
     * @param owed systems whose base stays as it is, but that are due because the golden record has changed: marking
     *     them takes no revision, so that a delivery under way is not disturbed
     * @param digests by system, of bases that stay as they are: a look showed just what they say, and so how the system
     *     itself writes it; kept where none is known
     */
    record Change(
            String id,
            Golden golden,
            long readVersion,
            List<BaseChange> bases,
            List<Conflict> conflicts,
            List<Event> events,
            List<String> owed,
            Map<String, Shown> digests) {

        public Change(
                String id,
                Golden golden,
                long readVersion,
                List<BaseChange> bases,
                List<Conflict> conflicts,
                List<Event> events,
                List<String> owed) {
            this(id, golden, readVersion, bases, conflicts, events, owed, Map.of());
        }

        public Change(
                String id,
                Golden golden,
                long readVersion,
                List<BaseChange> bases,
                List<Conflict> conflicts,
                List<Event> events) {
            this(id, golden, readVersion, bases, conflicts, events, List.of());
        }

        /** The golden version by which it was judged whether the bases are due. */
        long judged() {
            return golden == null ? readVersion : golden.version();
        }
    }

    /** How a system itself writes what it was seen to hold. */
    record Shown(String position, String digest) {}

    /**
     * @param due whether the system is due; a due base keeps the time since when it is
     * @param former what was read of it, or null: what is marked as due already need not be marked again, nor what is
     *     not be cleared, since whoever changes the mark for this version replaces the base
     * @param waitingFor fields that are not there yet, empty for none
     * @param refused see {@link Delivery#refused}
     * @param digest of what the system held at the base's ticks, in its own form. Null: not known; the one that is
     *     stored stays as long as the ticks do
     */
    record BaseChange(
            Base base,
            boolean due,
            Delivery former,
            List<String> waitingFor,
            Long refused,
            int keyNumber,
            Instant observedAt,
            String digest) {

        public BaseChange(
                Base base, boolean due, List<String> waitingFor, Long refused, int keyNumber, Instant observedAt) {
            this(base, due, null, waitingFor, refused, keyNumber, observedAt, null);
        }
    }

    /** @param path the field's path; {@code losing} and {@code winning} may be null */
    record Conflict(
            String path,
            String system,
            JsonNode losing,
            JsonNode winning,
            String winner,
            String rule,
            long fieldVersion) {}

    /**
     * One line of a timeline.
     *
     * @param kind observed, stale, merged, conflict, delivered, refused, dead_letter, restored, repaired
     * @param fields {path: {from, to}} or null
     */
    record Event(String kind, String system, Long version, JsonNode fields, String rule, JsonNode loser, String note) {}

    /**
     * The bases of a system that hold, at the very position of a reading, the very values that it shows; by id.
     *
     * @param positions of readings, by id
     * @param shown gives a reading's values in normal form, and is asked for no others; null: they can't be used
     */
    Map<String, Held> alike(
            String entity, String system, Map<String, String> positions, Function<String, Map<String, JsonNode>> shown);

    /**
     * @param version of the golden record
     * @param digest see {@link BaseChange#digest}
     */
    record Held(Base base, long version, String digest) {}

    /**
     * Replaces what bases say of themselves, and nothing that they hold, in a transaction of its own.
     *
     * @return the ids that were written: those of which no other writer was faster
     */
    Set<String> settle(String entity, String system, Map<String, Settled> settled);

    /** @param base with the revision that was read */
    record Settled(Base base, Instant observedAt, String digest) {}

    /** A record that is due, in the order in which it became so. */
    record DueKey(Instant since, String id) {
        public static final DueKey FIRST = new DueKey(Instant.EPOCH, "");
    }

    /**
     * Up to {@code limit} records that have been due at a system since before a moment, oldest first; without those
     * that were refused or wait for a field which is not there.
     *
     * @param after the last one of the page before
     */
    List<DueKey> due(String entity, String system, Instant before, DueKey after, int limit);

    /** A record that waits for another one to arrive at its system. */
    record Waiting(String entity, String id) {}

    /** Records that wait at a system because {@code field} names one of the ids, which have now arrived there. */
    List<Waiting> waitingFor(String system, String field, Collection<String> ids);
}
