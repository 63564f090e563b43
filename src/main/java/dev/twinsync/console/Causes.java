package dev.twinsync.console;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.stereotype.Component;

/**
 * A letter's cause in plain words, and what mends it: templates call it as {@code @causes} and show its messages. It
 * takes a letter or a group of letters: each has an error, a route, an entity and a system.
 */
@Component("causes")
class Causes {

    private static final Set<Integer> KNOWN = Set.of(400, 409, 413, 422, 503);

    private final Show show;
    private final Schemas schemas;

    Causes(Show show, Schemas schemas) {
        this.show = show;
        this.schemas = schemas;
    }

    /**
     * What is to be done about a cause.
     *
     * @param who mends it
     * @param steps in their order
     */
    public record Next(String who, List<String> steps) {}

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

    /** What is to be done about a letter or a group of them, in the reader's language. */
    public Next next(Map<?, ?> letter) {
        String entity = String.valueOf(letter.get("entity"));
        String system = String.valueOf(letter.get("system"));
        Map<?, ?> error = (Map<?, ?>) letter.get("error");
        Schema schema = schemas.has(entity) ? schemas.of(entity) : null;
        Object field = error.get("field");
        String others = schema == null
                ? ""
                : schema.systems().stream()
                        .filter(other -> !other.equals(system))
                        .map(other -> show.word("system." + other))
                        .collect(Collectors.joining(" / "));
        Object[] arguments = {
            show.word("system." + system),
            others,
            show.word("kind." + entity),
            field == null ? "" : field,
            code(error),
            schema == null ? "" : "routes/" + schema.plural() + '/',
            letter.get("route")
        };
        String remedy =
                "next." + remedy(error, String.valueOf(letter.get("route")), String.valueOf(letter.get("step"))) + '.';
        List<String> steps = new ArrayList<>();
        for (int step = 1; show.has(remedy + step); step++) {
            steps.add(show.text(remedy + step, arguments));
        }
        return new Next(show.text(remedy + "who", arguments), steps);
    }

    /** Who has to do something, and what: told apart further than the cause is. */
    private static String remedy(Map<?, ?> error, String route, String step) {
        String key = key(error);
        return switch (key) {
            case "422", "refused" -> error.get("field") == null ? key : "value";
            case "503", "failing" -> "failing";
            case "database", "other" -> {
                if (route.startsWith("feed-")) {
                    yield "feed";
                }
                if (!route.matches("(merge|deliver)-.*")) {
                    yield "unknown";
                }
                yield step.equals("-") ? "message" : key;
            }
            default -> key;
        };
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
