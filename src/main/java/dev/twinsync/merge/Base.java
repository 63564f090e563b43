package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What one system is known to hold of a record.
 *
 * @param known whether the record was ever looked at there; false: nothing is known, {@code held} is empty
 * @param exists whether the record was there; a deleted flag of the record is a value like any other
 * @param held path to value in normal form
 * @param unusable fields whose values there can't be put into normal form; not compared, and written only where an
 *     operator has stated a value for them since
 * @param position the system's own text of its position ({@code updated_at}), verbatim, or null
 * @param ticks when it was known
 * @param doubt whether it may no longer be true
 * @param doubtAt the tick at which the doubt arose
 * @param intents path to values that were sent and whose outcome is not known
 * @param sent path to the value that was sent where the system shows another one for it: altered there
 * @param stated path to the value that the system pushed last and that no reading has shown yet: when one does, it is
 *     no second edit
 * @param wrote the position with which our last write was answered, until a reading has shown what became of it
 * @param seen the golden version that the system has seen
 * @param revision fences replacement: merge and delivery replace a base only from the one they read
 */
public record Base(
        String system,
        boolean known,
        boolean exists,
        Map<String, JsonNode> held,
        java.util.Set<String> unusable,
        String position,
        Ticks ticks,
        boolean doubt,
        long doubtAt,
        Map<String, List<JsonNode>> intents,
        Map<String, JsonNode> sent,
        Map<String, Stated> stated,
        String wrote,
        long seen,
        long revision) {

    /**
     * What a push said last of a path.
     *
     * @param value a NullNode where it cleared
     * @param at when it was made, by the system's corrected clock: an older push that comes later says nothing
     */
    public record Stated(JsonNode value, Instant at) {}

    /** Nothing is known: a guarded system is believed to have no such record, since its guard will say otherwise. */
    public static Base unknown(String system) {
        return new Base(
                system,
                false,
                false,
                Map.of(),
                java.util.Set.of(),
                null,
                Ticks.NEVER,
                false,
                -1,
                Map.of(),
                Map.of(),
                Map.of(),
                null,
                0,
                0);
    }

    public Base doubted(long tick) {
        return new Base(
                system, known, exists, held, unusable, position, ticks, true, tick, intents, sent, stated, wrote, seen,
                revision);
    }

    /** The same base with another revision: how a settled write is told from the one that began it. */
    public Base at(long revision) {
        return new Base(
                system, known, exists, held, unusable, position, ticks, doubt, doubtAt, intents, sent, stated, wrote,
                seen, revision);
    }

    Base intending(Map<String, List<JsonNode>> intents) {
        return new Base(
                system, known, exists, held, unusable, position, ticks, doubt, doubtAt, intents, sent, stated, wrote,
                seen, revision);
    }

    Base stating(Map<String, Stated> stated) {
        return new Base(
                system, known, exists, held, unusable, position, ticks, doubt, doubtAt, intents, sent, stated, wrote,
                seen, revision);
    }

    Base seeing(long seen) {
        return new Base(
                system, known, exists, held, unusable, position, ticks, doubt, doubtAt, intents, sent, stated, wrote,
                seen, revision);
    }

    /** A reading of these ticks has shown just what it holds: what was sent and is held so is no rendering. */
    Base shown(Ticks ticks) {
        Map<String, JsonNode> sent = new HashMap<>(this.sent);
        sent.entrySet().removeIf(e -> Due.same(e.getValue(), held.get(e.getKey())));
        return new Base(
                system, known, exists, held, unusable, position, ticks, doubt, doubtAt, intents, sent, stated, null,
                seen, revision);
    }
}
