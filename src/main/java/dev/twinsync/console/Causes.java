package dev.twinsync.console;

import java.util.Map;
import java.util.Set;
import org.springframework.stereotype.Component;

/** A letter's cause in plain words: templates call it as {@code @causes} and show its message. */
@Component("causes")
class Causes {

    private static final Set<Integer> KNOWN = Set.of(400, 409, 413, 422, 503);

    private final Show show;

    Causes(Show show) {
        this.show = show;
    }

    /** @param error class, code, status and message of a letter */
    public String plain(Map<?, ?> error) {
        return show.word("cause." + key(error));
    }

    /** The system's own word for it: its code, or the name of the exception. */
    public String code(Map<?, ?> error) {
        Object code = error.get("code") == null ? error.get("status") : error.get("code");
        String name = String.valueOf(error.get("class"));
        return code == null ? name.substring(name.lastIndexOf('.') + 1) : String.valueOf(code);
    }

    private static String key(Map<?, ?> error) {
        String name = String.valueOf(error.get("class"));
        if (name.endsWith("UnusableField")) {
            return "field";
        }
        if (name.endsWith("UnknownLetter")) {
            return "unknown";
        }
        if (error.get("status") instanceof Number status && status.intValue() > 0) {
            return KNOWN.contains(status.intValue())
                    ? String.valueOf(status)
                    : status.intValue() < 500 ? "refused" : "failing";
        }
        if (name.contains("SQL") || name.contains("DataIntegrity") || name.contains("DataAccess")) {
            return "database";
        }
        return "other";
    }
}
