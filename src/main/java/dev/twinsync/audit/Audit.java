package dev.twinsync.audit;

import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * The list of what people did. An act is written down before it begins and its result when it ends, so that nothing is
 * done without a trace; an act whose result is missing was cut off by a crash. Values of personal fields have no place
 * in reason, detail or result.
 */
@Component
public class Audit {

    private final JdbcTemplate jdbc;
    private final Duration retention;

    Audit(JdbcTemplate jdbc, @Value("${twinsync.audit.retention}") Duration retention) {
        this.jdbc = jdbc;
        this.retention = retention;
    }

    /**
     * @param act what is done, as {@code <noun>.<verb>}: {@code record.reveal}, {@code letter.retry}; the console shows
     *     the message {@code act.<act>} for it
     * @param kind what the target is: an entity's name, {@code letter}, {@code conflict}, {@code flow} …, or null
     * @param target the target's id, or null
     * @param reason why, in the person's own words, or null where none is asked for
     * @param detail what else tells one act from another, or an empty map
     */
    public record Act(String who, String act, String kind, String target, String reason, Map<String, ?> detail) {

        public Act(String who, String act, String kind, String target, String reason) {
            this(who, act, kind, target, reason, Map.of());
        }
    }

    /**
     * Does something in somebody's name, and keeps what came of it.
     *
     * @throws RuntimeException what {@code doing} threw, after it was written down
     */
    public <T> T act(Act act, Supplier<T> doing) {
        long id = write(act, "begun", null);
        T done;
        try {
            done = doing.get();
        } catch (RuntimeException e) {
            end(id, "refused", e.getMessage());
            throw e;
        }
        end(id, "done", null);
        return done;
    }

    /** The same for what gives no answer. */
    public void act(Act act, Runnable doing) {
        act(act, () -> {
            doing.run();
            return null;
        });
    }

    /** Writes down what has happened already: a sign-in, or an act that began before and ends now. */
    public void happened(Act act, String result) {
        write(act, result, null);
    }

    private long write(Act act, String result, String note) {
        Long id = jdbc.queryForObject(
                """
                insert into audit (who, act, kind, target, reason, detail, result, note)
                values (?, ?, ?, ?, ?, ?::jsonb, ?, ?) returning id""",
                Long.class,
                name(act.who()),
                act.act(),
                act.kind(),
                name(act.target()),
                clean(act.reason(), 1000),
                act.detail().isEmpty() ? null : Json.text(Json.MAPPER.valueToTree(act.detail())),
                result,
                note);
        return id;
    }

    private void end(long id, String result, String note) {
        jdbc.update(
                "update audit set result = ?, note = ?, ended_at = clock_timestamp() where id = ?",
                result,
                clean(note, 1000),
                id);
    }

    private static String name(String name) {
        return name == null || name.isBlank()
                ? null
                : name.replaceAll("\\p{Cntrl}+", " ").strip();
    }

    /** What PostgreSQL can't hold, and what no page should, is left out: control characters, phones, credentials. */
    private static String clean(String text, int most) {
        if (text == null || text.isBlank()) {
            return null;
        }
        String clean = Masking.inText(text.replaceAll("\\p{Cntrl}+", " ").strip());
        return clean.length() <= most ? clean : clean.substring(0, most - 1) + "…";
    }

    /**
     * @param detail JSON text or null
     * @param result begun, done or refused; {@code note} says why it was refused
     */
    public record Entry(
            long id,
            Instant at,
            String who,
            String act,
            String kind,
            String target,
            String reason,
            String detail,
            String result,
            String note) {}

    /** Entries newest first, before {@code after}; a filter that is null or empty does not filter. */
    public List<Entry> list(String who, String act, String kind, String target, long after, int limit) {
        StringBuilder sql = new StringBuilder(
                "select id, at, who, act, kind, target, reason, detail::text as detail, result, note from audit where id < ?");
        List<Object> arguments = new ArrayList<>(List.of(after));
        String[] columns = {"who", "act", "kind", "target"};
        String[] values = {who, act, kind, target};
        for (int i = 0; i < columns.length; i++) {
            if (values[i] != null && values[i].indexOf('\0') >= 0) {
                // which the database can't even be asked for
                return List.of();
            }
            if (values[i] != null && !values[i].isBlank()) {
                sql.append(" and ").append(columns[i]).append(" = ?");
                arguments.add(values[i].strip());
            }
        }
        sql.append(" order by id desc limit ?");
        arguments.add(limit);
        return jdbc.query(
                sql.toString(),
                (row, n) -> new Entry(
                        row.getLong("id"),
                        row.getTimestamp("at").toInstant(),
                        row.getString("who"),
                        row.getString("act"),
                        row.getString("kind"),
                        row.getString("target"),
                        row.getString("reason"),
                        row.getString("detail"),
                        row.getString("result"),
                        row.getString("note")),
                arguments.toArray());
    }

    /** The acts that occur, for the filter. */
    public List<String> acts() {
        return jdbc.queryForList("select distinct act from audit order by act", String.class);
    }

    @Scheduled(initialDelayString = "PT1M", fixedDelayString = "PT6H")
    void forget() {
        jdbc.update(
                "delete from audit where at < ?", Timestamp.from(Instant.now().minus(retention)));
    }
}
