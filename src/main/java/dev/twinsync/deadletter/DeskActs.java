package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.audit.Audit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.stereotype.Component;

/** What people do at the desk, by a page or by a call: the same acts, each written down with who, why and what came of it. */
@Component
public class DeskActs {

    private final Audit audit;
    private final Letters letters;
    private final Retries retries;

    DeskActs(Audit audit, Letters letters, Retries retries) {
        this.audit = audit;
        this.letters = letters;
        this.retries = retries;
    }

    /** See {@link Retries#one}. */
    public long retry(long letter, String reason, ObjectNode patch, String who, String callKey) {
        Map<String, ?> detail = patch == null || patch.isEmpty() ? Map.of() : Map.of("edited", names(patch));
        return audit.act(
                new Audit.Act(who, "letter.retry", "letter", String.valueOf(letter), reason, detail),
                () -> retries.one(letter, reason, patch, who, callKey));
    }

    private static List<String> names(ObjectNode patch) {
        List<String> names = new ArrayList<>();
        patch.fieldNames().forEachRemaining(names::add);
        return names;
    }

    /** See {@link Retries#many}. */
    public long retry(Retries.Ask ask) {
        return audit.act(
                new Audit.Act(
                        ask.who(),
                        "letters.retry",
                        null,
                        null,
                        ask.reason(),
                        ask.filter().shown()),
                () -> retries.many(ask));
    }

    public void pause(long operation, String reason, String who) {
        audit.act(act(who, "operation.pause", operation, reason), () -> retries.pause(operation, who));
    }

    public void resume(long operation, String reason, String who) {
        audit.act(act(who, "operation.resume", operation, reason), () -> retries.resume(operation));
    }

    public void cancel(long operation, String reason, String who) {
        audit.act(act(who, "operation.cancel", operation, reason), () -> retries.cancel(operation));
    }

    private static Audit.Act act(String who, String act, long operation, String reason) {
        return new Audit.Act(who, act, "operation", String.valueOf(operation), reason);
    }

    /** See {@link Letters#discard(long, String, boolean)}. */
    public void discard(long letter, String reason, boolean fromRetries, String who) {
        audit.act(
                new Audit.Act(who, "letter.discard", "letter", String.valueOf(letter), reason, taken(fromRetries)),
                () -> letters.discard(letter, reason, fromRetries));
    }

    /** See {@link Letters#discard(LetterFilter, String, boolean)}. */
    public int discard(LetterFilter filter, String reason, boolean fromRetries, String who) {
        Map<String, String> detail = new TreeMap<>(filter.shown());
        detail.putAll(taken(fromRetries));
        return audit.act(
                new Audit.Act(who, "letters.discard", null, null, reason, detail),
                () -> letters.discard(filter, reason, fromRetries));
    }

    private static Map<String, String> taken(boolean fromRetries) {
        return fromRetries ? Map.of("from_retries", "true") : Map.of();
    }

    /** See {@link Letters#restore(LetterFilter)}. */
    public int restore(LetterFilter filter, String who) {
        return audit.act(
                new Audit.Act(who, "letters.restore", null, null, null, filter.shown()), () -> letters.restore(filter));
    }

    public void restore(long letter, String who) {
        audit.act(
                new Audit.Act(who, "letter.restore", "letter", String.valueOf(letter), null),
                () -> letters.restore(letter));
    }

    /** See {@link Letters#mark}. */
    public ObjectNode mark(String group, String state, String note, String who) {
        return audit.act(
                new Audit.Act(
                        who, "group.mark", "group", group, note, state == null ? Map.of() : Map.of("state", state)),
                () -> letters.mark(group, state, note, who));
    }

    /** Letters leave the service as a file. */
    public void exported(LetterFilter filter, String format, String who) {
        Map<String, String> detail = new TreeMap<>(filter.shown());
        detail.put("format", format);
        audit.happened(new Audit.Act(who, "letters.export", null, null, null, detail), "done");
    }
}
