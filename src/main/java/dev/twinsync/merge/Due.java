package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Field;
import dev.twinsync.record.Schema;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a system is still owed. */
public final class Due {

    private Due() {}

    /** Whether the system's base differs from the golden record in a field that it can hold, or is in doubt. */
    public static boolean is(Schema schema, Golden golden, Base base) {
        return base.doubt()
                || golden.version() > 0 && !paths(schema, golden, base).isEmpty();
    }

    /** The paths in which the system differs from the golden record; a deleted record is owed its deletion alone. */
    public static Set<String> paths(Schema schema, Golden golden, Base base) {
        Set<String> due = new HashSet<>();
        if (golden.version() == 0) {
            return due;
        }
        if (golden.deleted()) {
            if (base.exists() && differs(golden, base, "deleted")) {
                due.add("deleted");
            }
            return due;
        }
        for (Map.Entry<String, Golden.FieldState> entry : golden.fields().entrySet()) {
            String path = entry.getKey();
            Field field = schema.field(path);
            if (field == null || !field.systems().contains(base.system())) {
                continue;
            }
            if (base.exists() && base.unusable().contains(name(path))) {
                // what nobody can read is written over only where a person has said what belongs there
                if (entry.getValue().system().equals(Merge.OPERATOR)
                        && entry.getValue().version() > base.seen()) {
                    due.add(path);
                }
                continue;
            }
            if (!base.exists()) {
                // a record that is to be made is owed all that there is, and nothing of what there is not
                if (entry.getValue().value() != null) {
                    due.add(path);
                }
            } else if (differs(golden, base, path)) {
                due.add(path);
            }
        }
        if (base.exists()) {
            // what the golden record never had: a key of an object, or what was lost to a deletion that was taken back
            for (String path : base.held().keySet()) {
                if (!golden.fields().containsKey(path)
                        && !base.unusable().contains(name(path))
                        && schema.field(path) != null
                        && schema.field(path).systems().contains(base.system())
                        && differs(golden, base, path)) {
                    due.add(path);
                }
            }
        }
        return due;
    }

    /** Fields without which the system can't store the record and that the golden record does not have yet. */
    public static List<String> waitingFor(Schema schema, Golden golden, Base base) {
        List<String> missing = new ArrayList<>();
        if (!base.exists() && !golden.deleted()) {
            for (String path : schema.requiredAt(base.system())) {
                if (golden.value(path) == null) {
                    missing.add(path);
                }
            }
        }
        return missing;
    }

    /** Paths that the system shows otherwise than it was told. */
    public static List<String> altered(Base base) {
        return base.sent().keySet().stream()
                .filter(path -> !same(base.sent().get(path), base.held().get(path)))
                .sorted()
                .toList();
    }

    private static boolean differs(Golden golden, Base base, String path) {
        JsonNode wanted = golden.value(path);
        if (same(wanted, base.held().get(path))) {
            return false;
        }
        return !(base.sent().containsKey(path)
                && same(wanted, nullable(base.sent().get(path))));
    }

    /** Absent, null and a NullNode are one. */
    public static boolean same(JsonNode a, JsonNode b) {
        if (a == b) {
            return true;
        }
        JsonNode left = nullable(a);
        JsonNode right = nullable(b);
        return left == null ? right == null : left.equals(right);
    }

    static JsonNode nullable(JsonNode value) {
        return value == null || value.isNull() ? null : value;
    }

    /** The field that a path belongs to: its first word. */
    public static String name(String path) {
        int dot = path.indexOf('.');
        return dot < 0 ? path : path.substring(0, dot);
    }
}
