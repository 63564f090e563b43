package dev.twinsync.api;

import dev.twinsync.audit.Audit;
import dev.twinsync.capture.Capture;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Component;

/** What people do to a record, by a page or by a call: the same acts, each written down. */
@Component
public class RecordActs {

    private final KnownRecords known;
    private final Capture capture;
    private final Audit audit;

    RecordActs(KnownRecords known, Capture capture, Audit audit) {
        this.known = known;
        this.capture = capture;
        this.audit = audit;
    }

    /**
     * What a system held when it was asked.
     *
     * @param reading what it answered, or null
     * @param normal its fields in their normal form, or null
     * @param trouble why it could not be read, without phone numbers, or null
     */
    public record Seen(Observation reading, Schema.Normalised normal, String trouble) {}

    /** Reads a record at every system now, for a person to see; one that can't answer says why in its place. */
    public Map<String, Seen> look(Schema schema, String id) {
        Map<String, Seen> seen = new LinkedHashMap<>();
        for (String system : schema.systems()) {
            try {
                Observation reading = capture.look(system, schema.entity(), id);
                seen.put(system, new Seen(reading, schema.normalise(reading.data(), true), null));
            } catch (RuntimeException e) {
                Throwable root = e;
                while (root.getCause() != null && root.getCause() != root) {
                    root = root.getCause();
                }
                seen.put(system, new Seen(null, null, Masking.inText(what(root) + ": " + root.getMessage())));
            }
        }
        return seen;
    }

    private static String what(Throwable cause) {
        return cause instanceof CallFailed call && call.status() > 0
                ? "HTTP " + call.status()
                : cause.getClass().getSimpleName();
    }

    /** Reads a record at every system now, as an observation that the merge works like any other. */
    public void readAgain(Schema schema, String id, String who) {
        known.record(schema, id, false);
        audit.act(new Audit.Act(who, "record.read", schema.entity(), id, null), () -> {
            for (String system : schema.systems()) {
                capture.readNow(system, schema.entity(), List.of(id));
            }
        });
    }

    /**
     * Shows personal values in one answer; that they were asked for, by whom and why, is kept.
     *
     * @param shown makes the answer; it is made once the act is written down
     */
    public <T> T reveal(Schema schema, String id, String reason, String who, Supplier<T> shown) {
        return audit.act(new Audit.Act(who, "record.reveal", schema.entity(), id, reason), shown);
    }

    /**
     * Lets through a mass deletion that a key sweep holds back.
     *
     * @throws Problem where nothing is held back
     */
    public void release(Schema schema, String system, String who, String reason) {
        if (capture.brake(system, schema.entity()).isEmpty()) {
            throw new Problem(HttpStatus.CONFLICT, "nothing is held back");
        }
        audit.act(
                new Audit.Act(who, "sweep.release", "flow", "sweep-" + system + '-' + schema.plural(), reason),
                () -> capture.release(system, schema.entity()));
    }
}
