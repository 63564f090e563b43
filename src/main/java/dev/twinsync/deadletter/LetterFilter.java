package dev.twinsync.deadletter;

import dev.twinsync.record.Masking;
import java.time.DateTimeException;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which letters are meant; the same words in a link, a call and a retry. What is absent or empty does not filter, and a
 * word that isn't known is refused: a retry of everything must not hang on a slip of the pen.
 */
public final class LetterFilter {

    private record Condition(String sql, String check, String write) {
        Condition(String sql) {
            this(sql, null, null);
        }
    }

    private static final String TIME = "write a time with its offset, as 2026-01-01T08:00:00+08:00";
    private static final Map<String, Condition> CONDITIONS = new LinkedHashMap<>();

    static {
        CONDITIONS.put(
                "state",
                new Condition(
                        "d.state = any (string_to_array(?, ','))",
                        "(open|retrying|resolved|superseded|discarded)(,(open|retrying|resolved|superseded|discarded))*",
                        "write open, retrying, resolved, superseded or discarded"));
        CONDITIONS.put("entity", new Condition("d.entity = ?"));
        CONDITIONS.put("system", new Condition("d.system = ?"));
        CONDITIONS.put("route", new Condition("d.route = ?"));
        CONDITIONS.put("step", new Condition("d.step = ?"));
        CONDITIONS.put("group", new Condition("d.failure_group = ?"));
        CONDITIONS.put("key", new Condition("d.record_id = ?"));
        CONDITIONS.put(
                "kind",
                new Condition("""
                        case when d.slot = '' then 'delivery' when d.slot like 'message@%' then 'message'
                          when d.slot like 'unknown@%' then 'unknown' else 'field' end = ?""", "delivery|field|message|unknown", "write delivery, field, message or unknown"));
        CONDITIONS.put("field", new Condition("d.slot = ?"));
        CONDITIONS.put("error", new Condition("? in (d.error ->> 'code', d.error ->> 'status', d.error ->> 'class')"));
        CONDITIONS.put(
                "attempts",
                new Condition("d.attempts >= cast(? as int)", "\\d{1,9}", "write the least number of attempts"));
        CONDITIONS.put(
                "header",
                new Condition(
                        "d.headers @> jsonb_build_object(split_part(?, ':', 1), substr(?, strpos(?, ':') + 1))",
                        "[^:]+:.*",
                        "write name:value"));
        CONDITIONS.put(
                "q",
                new Condition(
                        // keys are bytes, and would make all beside them bytes too: no letter but those of ASCII has a
                        // lower case then
                        "strpos(lower((d.record_id || ' ' || d.id || ' ' || coalesce(d.error ->> 'message', '')) collate \"default\"), lower(?)) > 0"));
        CONDITIONS.put("from", new Condition("d.last_failed_at >= cast(? as timestamptz)", null, TIME));
        CONDITIONS.put("to", new Condition("d.last_failed_at < cast(? as timestamptz)", null, TIME));
        CONDITIONS.put(
                "up_to", new Condition("d.id <= cast(? as bigint)", "\\d{1,18}", "write the id of the newest letter"));
        CONDITIONS.put(
                "ids",
                new Condition(
                        "d.id = any (cast(string_to_array(?, ',') as bigint[]))",
                        "\\d{1,18}(,\\d{1,18})*",
                        "write ids of letters, separated by commas"));
        CONDITIONS.put(
                "group_state",
                new Condition(
                        "d.failure_group in (select g.id from letter_group g where g.state = ?)",
                        "new|acknowledged|fixed|ignored",
                        "write new, acknowledged, fixed or ignored"));
        CONDITIONS.put(
                "operation",
                new Condition(
                        "d.id in (select i.letter from retry_item i where i.operation = cast(? as bigint))",
                        "\\d{1,18}",
                        "write the number of a retry"));
    }

    /** A filter that can't be used. */
    public static class Invalid extends RuntimeException {
        private final String name;
        private final String what;

        Invalid(String name, String what) {
            super(name + ": " + what);
            this.name = name;
            this.what = what;
        }

        /** The word of the filter that is wrong. */
        public String name() {
            return name;
        }

        /** What to write instead. */
        public String what() {
            return what;
        }
    }

    private final Map<String, String> values = new LinkedHashMap<>();

    private LetterFilter() {}

    /**
     * @param given words and values
     * @param beside words that are no filter, but of the call
     * @throws Invalid naming the word and what to write instead
     */
    public static LetterFilter of(Map<String, String> given, String... beside) {
        LetterFilter filter = new LetterFilter();
        Set<String> passed = Set.copyOf(Arrays.asList(beside));
        given.forEach((name, value) -> {
            if (passed.contains(name) || value == null || value.isEmpty()) {
                return;
            }
            Condition condition = CONDITIONS.get(name);
            if (condition == null) {
                throw new Invalid(name, "there is no such filter; there are " + String.join(", ", CONDITIONS.keySet()));
            }
            boolean usable = condition.check() == null || value.matches(condition.check());
            if (condition.check() == null && TIME.equals(condition.write())) {
                try {
                    OffsetDateTime.parse(value);
                } catch (DateTimeException e) {
                    usable = false;
                }
            }
            if (!usable) {
                throw new Invalid(name, condition.write());
            }
            if (value.indexOf('\0') >= 0) {
                throw new Invalid(name, "U+0000 is in no letter: leave it out");
            }
            filter.values.put(name, value);
        });
        return filter;
    }

    public Map<String, String> values() {
        return Map.copyOf(values);
    }

    /** The same as it may be shown: what was searched for may be a person's number. */
    public Map<String, String> shown() {
        Map<String, String> shown = new LinkedHashMap<>(values);
        shown.computeIfPresent("q", (name, text) -> Masking.inText(text));
        return shown;
    }

    /** Adds the conditions on {@code dead_letter d} to a statement that has a where clause. */
    void where(StringBuilder sql, List<Object> arguments) {
        values.forEach((name, value) -> {
            if (name.equals("state")) {
                // known words, told literally: so the indices of open letters are found
                sql.append(" and d.state in ('")
                        .append(value.replace(",", "', '"))
                        .append("')");
                return;
            }
            String condition = CONDITIONS.get(name).sql();
            sql.append(" and ").append(condition);
            condition.chars().filter(c -> c == '?').forEach(c -> arguments.add(value));
        });
    }

    /** The same filter with one word more or another value. */
    public LetterFilter with(String name, String value) {
        Map<String, String> more = new LinkedHashMap<>(values);
        more.put(name, value);
        return of(more);
    }

    static List<Object> arguments(Object... first) {
        return new ArrayList<>(Arrays.asList(first));
    }
}
