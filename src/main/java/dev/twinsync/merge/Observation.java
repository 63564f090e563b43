package dev.twinsync.merge;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;

/**
 * What a system stated, on its way to the merge; the JSON of the topic {@code <entity>.observed}.
 *
 * @param kind reading (a whole record as the system held it) or push (the fields that a backend stated)
 * @param exists readings: false where the system has no such record
 * @param data canonical names, values as the system gave them; never null
 * @param position readings: the system's own text of its position
 * @param ticks readings: before it began and after it ended; pushes: null
 * @param changedAt the change's time by the system's clock, already corrected by the measured offset; null: not stated
 * @param observedAt by our clock
 * @param eventId the CloudEvents id
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
        String traceparent) {

    public enum Kind {
        READING,
        PUSH
    }
}
