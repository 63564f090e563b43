package dev.twinsync.merge;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;

/**
 * What a system stated, on its way to the merge; the JSON of the topic {@code <entity>.observed}.
 *
 * @param kind reading (a whole record as the system held it), push (the fields that a backend stated) or repair (a
 *     reading that verification found to be damaged: its values are not believed, and the golden record is stated again)
 * @param exists readings: false where the system has no such record
 * @param data canonical names, values as the system gave them; never null
 * @param position readings: the system's own text of its position
 * @param ticks readings: before it began and after it ended; pushes: null
 * @param changedAt the change's time by the system's clock, already corrected by the measured offset; null: not stated
 * @param observedAt by our clock
 * @param eventId the CloudEvents id
 * @param digest readings: the digest of the record in the system's own form, or null where it is not known
 */
public record Observation(
        Kind kind,
        String entity,
        String id,
        String system,
        boolean exists,
        ObjectNode data,
        String position,
        Ticks ticks,
        Instant changedAt,
        Instant observedAt,
        String eventId,
        String traceparent,
        String digest) {

    public Observation(
            Kind kind,
            String entity,
            String id,
            String system,
            boolean exists,
            ObjectNode data,
            String position,
            Ticks ticks,
            Instant changedAt,
            Instant observedAt,
            String eventId,
            String traceparent) {
        this(
                kind,
                entity,
                id,
                system,
                exists,
                data,
                position,
                ticks,
                changedAt,
                observedAt,
                eventId,
                traceparent,
                null);
    }

    public enum Kind {
        READING,
        PUSH,
        REPAIR
    }

    /** A look at the whole record, believed or not; a push is not. */
    public boolean look() {
        return kind != Kind.PUSH;
    }

    /** The same look, known to show damage. */
    public Observation asRepair() {
        return new Observation(
                Kind.REPAIR,
                entity,
                id,
                system,
                exists,
                data,
                position,
                ticks,
                changedAt,
                observedAt,
                eventId + "-repair",
                traceparent,
                digest);
    }

    public Observation digested(String of) {
        return new Observation(
                kind,
                entity,
                id,
                system,
                exists,
                data,
                position,
                ticks,
                changedAt,
                observedAt,
                eventId,
                traceparent,
                of);
    }
}
