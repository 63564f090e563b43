package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Records;
import java.sql.Timestamp;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/** The letters as people see them: found by filter, told whole and masked, hidden and brought back. */
@Component
public class Letters {

    private static final String BRIEF = """
            select d.id, d.state, d.superseded_by, d.entity, d.record_id, d.system, d.slot, d.route, d.step, d.file,
              d.failure_group, d.version, d.error::text as error, d.attempts, d.first_failed_at, d.last_failed_at, d.closed_at,
              d.reason, g.state as group_state,
              (select u.held ->> 'user_id' from golden u where u.entity = d.entity and u.id = d.record_id) as user_id,
              (select i.operation from retry_item i
                where i.letter = d.id and i.state in ('pending', 'taken', 'sent')) as in_retry
            from dead_letter d left join letter_group g on g.id = d.failure_group""";

    /** How far people are with a cause. */
    public static final List<String> GROUP_STATES = List.of("new", "acknowledged", "fixed", "ignored");

    private static final Map<String, String> GROUP_ORDER = new LinkedHashMap<>();

    static {
        GROUP_ORDER.put("count", "coalesce(o.count, 0) desc, g.last_seen desc, g.id");
        GROUP_ORDER.put("last_seen", "g.last_seen desc, g.id");
        GROUP_ORDER.put("oldest", "o.oldest nulls last, g.first_seen, g.id");
    }

    /** The largest cause first, the one that came last, or the one with the oldest open letter. */
    public static final Set<String> GROUP_ORDERS = Collections.unmodifiableSet(GROUP_ORDER.keySet());

    private final JdbcTemplate jdbc;
    private final Schemas schemas;
    private final Records records;
    private final Masks masks;
    private final Preview preview;
    private final Duration retention;

    Letters(
            JdbcTemplate jdbc,
            Schemas schemas,
            Records records,
            Masks masks,
            Preview preview,
            @Value("${twinsync.dead-letters.retention:90d}") Duration retention) {
        this.jdbc = jdbc;
        this.schemas = schemas;
        this.records = records;
        this.masks = masks;
        this.preview = preview;
        this.retention = retention;
    }

    /** In which order letters are listed; of two that are equal in it, the number tells, so that it is always the same. */
    public enum Order {
        /** The letter that was made last. */
        NEWEST("id", true),
        /** The letter that failed last, by a retry too. */
        LAST_FAILED("last_failed_at", true),
        /** The letter that failed first. */
        OLDEST("first_failed_at", false);

        /** As they are written in an address. */
        public static final List<String> WORDS =
                Stream.of(values()).map(Order::word).toList();

        private final String column;
        private final boolean down;

        Order(String column, boolean down) {
            this.column = column;
            this.down = down;
        }

        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }

        /** @param word one of {@link #WORDS} */
        public static Order of(String word) {
            return valueOf(word.toUpperCase(Locale.ROOT));
        }

        private void after(String after, StringBuilder sql, List<Object> arguments) {
            if (after == null || after.isEmpty()) {
                return;
            }
            try {
                int gap = after.indexOf('_');
                if (this == NEWEST) {
                    sql.append(" and d.id < ?");
                } else {
                    sql.append(" and (d.")
                            .append(column)
                            .append(", d.id) ")
                            .append(down ? '<' : '>')
                            .append(" (?, ?)");
                    arguments.add(moment(after.substring(0, Math.max(0, gap))));
                }
                arguments.add(Long.valueOf(after.substring(this == NEWEST ? 0 : gap + 1)));
            } catch (DateTimeException | NumberFormatException e) {
                throw new LetterFilter.Invalid("after", "take it from next of the page before");
            }
        }

        private static Timestamp moment(String text) {
            Instant moment = Instant.parse(text);
            if (moment.isBefore(Instant.EPOCH) || moment.isAfter(Instant.EPOCH.plus(Duration.ofDays(365_000)))) {
                throw new DateTimeException("no letter is of that time");
            }
            return Timestamp.from(moment);
        }

        private String next(ObjectNode last) {
            String id = last.get("id").asText();
            return this == NEWEST ? id : last.get(column).asText() + '_' + id;
        }
    }

    /** @param next what to go on after, or null at the end */
    public record Page(List<ObjectNode> items, String next) {}

    /**
     * The letters of a filter.
     *
     * @param after {@code next} of the page before, or null for the first
     * @throws LetterFilter.Invalid where there is no such place to go on after
     */
    public Page list(LetterFilter filter, Order order, String after, int limit) {
        StringBuilder sql = new StringBuilder(BRIEF).append(" where true");
        List<Object> arguments = LetterFilter.arguments();
        order.after(after, sql, arguments);
        filter.where(sql, arguments);
        String way = order.down ? " desc" : "";
        sql.append(" order by d.")
                .append(order.column)
                .append(way)
                .append(", d.id")
                .append(way)
                .append(" limit ?");
        arguments.add(limit + 1);
        List<ObjectNode> items = new ArrayList<>();
        jdbc.query(
                sql.toString(),
                row -> {
                    items.add(brief(row));
                },
                arguments.toArray());
        boolean more = items.size() > limit;
        List<ObjectNode> page = more ? items.subList(0, limit) : items;
        return new Page(page, more ? order.next(page.get(limit - 1)) : null);
    }

    public long count(LetterFilter filter) {
        StringBuilder sql = new StringBuilder("select count(*) from dead_letter d where true");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        Long count = jdbc.queryForObject(sql.toString(), Long.class, arguments.toArray());
        return count == null ? 0 : count;
    }

    /** The letters of a filter, one after the other, with message, headers and request: for an export. */
    public void each(LetterFilter filter, Consumer<ObjectNode> letter) {
        long after = Long.MAX_VALUE;
        while (true) {
            StringBuilder sql = new StringBuilder(BRIEF.replace(
                            "d.reason,",
                            "d.reason, d.message, d.headers::text as headers, d.request::text as request,"))
                    .append(" where d.id < ?");
            List<Object> arguments = LetterFilter.arguments(after);
            filter.where(sql, arguments);
            sql.append(" order by d.id desc limit 500");
            List<ObjectNode> page = jdbc.query(
                    sql.toString(),
                    (row, n) -> {
                        ObjectNode item = brief(row);
                        item.set("message", masks.message(row.getBytes("message")));
                        item.set("headers", masks.headers(Json.read(row.getString("headers"))));
                        item.set("request", tree(row.getString("request")));
                        return item;
                    },
                    arguments.toArray());
            page.forEach(letter);
            if (page.size() < 500) {
                return;
            }
            after = page.get(page.size() - 1).get("id").asLong();
        }
    }

    private ObjectNode brief(java.sql.ResultSet row) throws java.sql.SQLException {
        ObjectNode item = Json.MAPPER.createObjectNode();
        String slot = row.getString("slot");
        Letter.Kind kind = Letter.kind(slot);
        item.put("id", row.getLong("id"));
        item.put("state", row.getString("state"));
        item.put("superseded_by", (Long) row.getObject("superseded_by"));
        item.put("entity", row.getString("entity"));
        item.put("key", row.getString("record_id"));
        item.put("user", row.getString("user_id"));
        item.put("system", row.getString("system"));
        item.put("kind", kind.name().toLowerCase(Locale.ROOT));
        item.put("field", kind == Letter.Kind.FIELD ? slot : null);
        item.put("route", row.getString("route"));
        item.put("step", row.getString("step"));
        item.put("file", row.getString("file"));
        item.put("group", row.getString("failure_group"));
        item.put(
                "group_state", Optional.ofNullable(row.getString("group_state")).orElse("new"));
        item.put("version", (Long) row.getObject("version"));
        item.put("in_retry", row.getString("in_retry"));
        ObjectNode error = error(row.getString("error"));
        if (kind == Letter.Kind.FIELD) {
            // one that was stored before letters told the field themselves
            error.put("field", slot);
        }
        item.set("error", error);
        item.put("attempts", row.getInt("attempts"));
        item.put("first_failed_at", time(row.getTimestamp("first_failed_at")));
        item.put("last_failed_at", time(row.getTimestamp("last_failed_at")));
        item.put("closed_at", time(row.getTimestamp("closed_at")));
        item.put("expires_at", expires(row.getTimestamp("closed_at")));
        item.put("reason", Masking.inText(row.getString("reason")));
        return item;
    }

    /** When retention takes a closed letter; an open one is never taken. */
    private String expires(Timestamp closed) {
        return closed == null ? null : closed.toInstant().plus(retention).toString();
    }

    static ObjectNode error(String text) {
        ObjectNode error = (ObjectNode) Json.read(text);
        error.put("message", Masking.inText(error.path("message").asText(null)));
        return error;
    }

    private JsonNode tree(String text) {
        return text == null ? null : masks.tree(Json.read(text));
    }

    private static String time(Timestamp at) {
        return at == null ? null : at.toInstant().toString();
    }

    /**
     * A letter whole: its message, what was sent, what each system held then and holds now, and what a retry would do.
     *
     * @throws NoSuchElementException where there is no such letter
     */
    public ObjectNode detail(long letter) {
        record Row(ObjectNode item, String slot, Long version, String retries) {}
        List<Row> found = jdbc.query(
                BRIEF.replace("d.reason,", """
                                d.reason, d.message, d.headers::text as headers, d.request::text as request,
                                d.systems::text as systems, d.retries::text as retries,""") + " where d.id = ?",
                (row, n) -> {
                    ObjectNode item = brief(row);
                    JsonNode headers = masks.headers(Json.read(row.getString("headers")));
                    item.set("message", masks.message(row.getBytes("message")));
                    item.set("stack", headers.get(DeadLetters.STACK));
                    ((ObjectNode) headers).remove(DeadLetters.STACK);
                    item.set("headers", headers);
                    item.set("request", tree(row.getString("request")));
                    item.set("systems", tree(row.getString("systems")));
                    return new Row(
                            item, row.getString("slot"), (Long) row.getObject("version"), row.getString("retries"));
                },
                letter);
        if (found.isEmpty()) {
            throw missing(letter);
        }
        Row row = found.get(0);
        row.item().set("retries", retries(letter, row.retries()));
        row.item().set("failures", failures(letter));
        now(row.item(), row.slot(), row.version());
        return row.item();
    }

    static NoSuchElementException missing(long letter) {
        return new NoSuchElementException("no dead letter " + letter);
    }

    /** What the record is by now, beside what the letter wanted. */
    private void now(ObjectNode item, String slot, Long version) {
        String entity = item.get("entity").asText();
        String system = item.get("system").asText();
        if (!schemas.has(entity)) {
            item.putNull("now");
            item.set("retry_now", Preview.json(null, Preview.NOTHING));
            return;
        }
        Schema schema = schemas.of(entity);
        String key = item.get("key").asText();
        Records.Snapshot snapshot = records.load(entity, List.of(key)).get(key);
        Golden golden = snapshot.golden();
        ObjectNode now = item.putObject("now");
        now.put("version", golden.version());
        now.set("golden", shown(schema, golden.values()));
        ObjectNode systems = now.putObject("systems");
        for (String name : schema.systems()) {
            Base base = snapshot.bases().getOrDefault(name, Base.unknown(name));
            Records.Delivery delivery = snapshot.delivery().get(name);
            ObjectNode one = systems.putObject(name);
            one.put("exists", base.exists());
            one.put("in_doubt", base.doubt());
            one.put("position", base.position());
            one.put(
                    "observed_at",
                    delivery == null || delivery.observedAt() == null
                            ? null
                            : delivery.observedAt().toString());
            one.set("held", base.exists() ? shown(schema, base.held()) : null);
            ArrayNode altered = one.putArray("altered");
            Due.altered(base).forEach(altered::add);
        }
        Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
        boolean superseded = item.get("state").asText().equals("superseded")
                || slot.isEmpty() && version != null && base.seen() >= version;
        item.put("superseded", superseded);
        item.set("retry_now", Preview.json(schema, preview.of(schema, slot, item.get("headers"), snapshot, system)));
    }

    private static ObjectNode shown(Schema schema, Map<String, JsonNode> values) {
        Map<String, JsonNode> masked = new HashMap<>();
        values.forEach((path, value) -> masked.put(path, Masks.value(schema, path, value)));
        return schema.assemble(masked);
    }

    /** Each retry with what came of it. */
    private ArrayNode retries(long letter, String text) {
        Map<Long, String[]> outcomes = new HashMap<>();
        jdbc.query(
                "select operation, state, note, ended_at from retry_item where letter = ?",
                row -> {
                    outcomes.put(
                            row.getLong(1),
                            new String[] {row.getString(2), row.getString(3), time(row.getTimestamp(4))});
                },
                letter);
        ArrayNode retries = Json.MAPPER.createArrayNode();
        for (JsonNode entry : Json.read(text)) {
            ObjectNode one = entry.deepCopy();
            one.put("reason", Masking.inText(one.path("reason").asText(null)));
            String[] outcome = outcomes.get(one.path("operation").asLong(-1));
            one.put("outcome", outcome == null ? null : outcome[0]);
            one.put("note", outcome == null ? null : outcome[1]);
            one.put("ended_at", outcome == null ? null : outcome[2]);
            retries.add(one);
        }
        return retries;
    }

    private ArrayNode failures(long letter) {
        ArrayNode failures = Json.MAPPER.createArrayNode();
        jdbc.query(
                "select at, version, error::text as error from dead_letter_attempt where letter = ? order by at desc limit 50",
                row -> {
                    ObjectNode one = failures.addObject();
                    one.put("at", time(row.getTimestamp(1)));
                    one.put("version", (Long) row.getObject(2));
                    one.set("error", error(row.getString(3)));
                },
                letter);
        return failures;
    }

    private String state(long letter) {
        List<String> state = jdbc.queryForList("select state from dead_letter where id = ?", String.class, letter);
        if (state.isEmpty()) {
            throw missing(letter);
        }
        return state.get(0);
    }

    /**
     * Hides an open letter; it can be brought back until retention ends.
     *
     * @param fromRetries whether it is taken out of the retry that has it; what was sent already is not taken back
     * @throws DeadLetters.Refused where it is not open, or a retry has it and it is not to be taken out of that
     */
    public void discard(long letter, String reason, boolean fromRetries) {
        int done = jdbc.update("""
                with ended as (
                  update dead_letter d set state = 'discarded', reason = ?, closed_at = clock_timestamp()
                  where d.id = ? and d.state in ('open', 'retrying') and (? or not exists (
                    select from retry_item i where i.letter = d.id and i.state in ('pending', 'taken', 'sent')))
                  returning d.id),
                items as (
                  update retry_item i set state = 'skipped', note = 'discarded', ended_at = clock_timestamp()
                  from ended where i.letter = ended.id and i.state in ('pending', 'taken', 'sent'))
                insert into history (entity, id, kind, system, version, note)
                select d.entity, d.record_id, 'dead_letter', d.system, d.version, 'discarded'
                from dead_letter d join ended on ended.id = d.id""", reason.replace('\0', ' '), letter, fromRetries);
        if (done == 0) {
            throw new DeadLetters.Refused(kept(letter));
        }
        if (fromRetries) {
            endEmptied();
        }
    }

    /** A paused retry whose last letter was taken out of it waits for nobody any more. */
    private void endEmptied() {
        jdbc.update("""
                update retry_operation o set state = 'done', ended_at = clock_timestamp(),
                  patch = case when patch is not null then '{}'::jsonb end
                where o.state = 'paused' and not exists (
                  select from retry_item i where i.operation = o.id and i.state in ('pending', 'taken', 'sent'))""");
    }

    /** Why a letter was not discarded. */
    private String kept(long letter) {
        String state = state(letter);
        List<String> retry = jdbc.query(
                """
                select o.id, o.state from retry_item i join retry_operation o on o.id = i.operation
                where i.letter = ? and i.state in ('pending', 'taken', 'sent')""",
                (row, n) -> "the letter is part of retry " + row.getLong(1) + ", which is " + row.getString(2)
                        + ": cancel that or wait for its end, or take the letter out of it (from_retries)",
                letter);
        return retry.isEmpty() ? "the letter is " + state + "; only an open one can be discarded" : retry.get(0);
    }

    /** @param upTo the largest id of them, or null where there is none */
    public record Frozen(int total, Long upTo) {}

    /** How many letters of a filter are discarded now; with {@code up_to} an act on them leaves later ones alone. */
    public Frozen discarded(LetterFilter filter) {
        StringBuilder sql =
                new StringBuilder("select count(*), max(d.id) from dead_letter d where d.state = 'discarded'");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        return jdbc.queryForObject(
                sql.toString(), (row, n) -> new Frozen(row.getInt(1), (Long) row.getObject(2)), arguments.toArray());
    }

    /**
     * What a discard of a filter is of: a retry that was asked for is not to lose its letters unseen.
     *
     * @param total open letters that no retry has
     * @param inRetries open letters that wait in a retry
     * @param onTheirWay letters that a retry has sent: they are never discarded with others
     * @param retries the numbers of these retries
     * @param upTo the largest id of the open ones, or null where there is none
     */
    public record Discarding(int total, int inRetries, int onTheirWay, List<Long> retries, Long upTo) {}

    public Discarding discarding(LetterFilter filter) {
        StringBuilder sql = new StringBuilder("""
                select count(*) filter (where d.state = 'open' and i.letter is null),
                  count(*) filter (where d.state = 'open' and i.letter is not null),
                  count(*) filter (where d.state = 'retrying'),
                  array_agg(distinct i.operation) filter (where i.operation is not null),
                  max(d.id) filter (where d.state = 'open')
                from dead_letter d left join retry_item i on i.letter = d.id and i.state in ('pending', 'taken', 'sent')
                where d.state in ('open', 'retrying')""");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        return jdbc.queryForObject(
                sql.toString(),
                (row, n) -> new Discarding(
                        row.getInt(1),
                        row.getInt(2),
                        row.getInt(3),
                        row.getArray(4) == null
                                ? List.of()
                                : List.of((Long[]) row.getArray(4).getArray()),
                        (Long) row.getObject(5)),
                arguments.toArray());
    }

    /**
     * Hides the open letters of a filter; those that are on their way stay. Returns how many.
     *
     * @param fromRetries whether letters that wait in a retry are taken out of it; else they stay
     */
    public int discard(LetterFilter filter, String reason, boolean fromRetries) {
        StringBuilder sql = new StringBuilder("""
                with chosen as (
                  select d.id, d.entity, d.record_id, d.system, d.version from dead_letter d where d.state = 'open'
                    and (? or not exists (
                      select from retry_item i where i.letter = d.id and i.state in ('pending', 'taken', 'sent')))""");
        List<Object> arguments = LetterFilter.arguments(fromRetries);
        filter.where(sql, arguments);
        sql.append("""
                 order by d.id for update),
                ended as (
                  update dead_letter d set state = 'discarded', reason = ?, closed_at = clock_timestamp()
                  from chosen where d.id = chosen.id),
                items as (
                  update retry_item i set state = 'skipped', note = 'discarded', ended_at = clock_timestamp()
                  from chosen where i.letter = chosen.id and i.state in ('pending', 'taken', 'sent'))
                insert into history (entity, id, kind, system, version, note)
                select entity, record_id, 'dead_letter', system, version, 'discarded' from chosen""");
        arguments.add(reason.replace('\0', ' '));
        int done = jdbc.update(sql.toString(), arguments.toArray());
        if (fromRetries) {
            endEmptied();
        }
        return done;
    }

    /**
     * Brings the discarded letters of a filter back, each but where a newer one of its record at its system is open, or
     * is brought back too. Returns how many.
     */
    public int restore(LetterFilter filter) {
        StringBuilder sql = new StringBuilder("""
                with chosen as (
                  select d.id from dead_letter d where d.state = 'discarded'""");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        sql.append("""
                   and not exists (select from dead_letter n
                     where n.entity = d.entity and n.record_id = d.record_id and n.system = d.system and n.slot = d.slot
                       and (n.state in ('open', 'retrying') or n.state = 'discarded' and n.id > d.id))
                  order by d.id for update)
                update dead_letter d set state = 'open', closed_at = null from chosen where d.id = chosen.id""");
        try {
            return jdbc.update(sql.toString(), arguments.toArray());
        } catch (DuplicateKeyException e) {
            throw new DeadLetters.Refused("letters of these records came at this moment: ask again");
        }
    }

    /** Brings a discarded letter back. */
    public void restore(long letter) {
        try {
            int done = jdbc.update(
                    "update dead_letter set state = 'open', closed_at = null where id = ? and state = 'discarded'",
                    letter);
            if (done == 0) {
                throw new DeadLetters.Refused(
                        "the letter is " + state(letter) + "; only a discarded one can be restored");
            }
        } catch (DuplicateKeyException e) {
            throw new DeadLetters.Refused("a newer letter of this record at this system is open");
        }
    }

    /**
     * Groups by cause: those with open letters, and with {@code all} those that have none any more.
     *
     * @param state of the group, or null for all
     * @param order one of {@link #GROUP_ORDERS}
     */
    public List<ObjectNode> groups(String state, boolean all, String order) {
        List<ObjectNode> groups = new ArrayList<>();
        jdbc.query(
                """
                select g.id, g.entity, g.system, g.route, g.step, g.error::text as error, g.state, g.note, g.changed_by,
                  g.changed_at, g.arrivals, g.first_seen, g.last_seen, coalesce(o.count, 0) as count,
                  coalesce(o.records, 0) as records, o.oldest
                from letter_group g left join (
                  select failure_group, count(*) as count, count(distinct record_id) as records, min(first_failed_at) as oldest
                  from dead_letter where state in ('open', 'retrying') group by failure_group) o on o.failure_group = g.id
                where (cast(? as text) is null or g.state = ?) and (? or o.count > 0)
                order by""" + ' ' + GROUP_ORDER.get(order) + " limit 1000",
                row -> {
                    groups.add(group(row));
                },
                state,
                state,
                all);
        return groups;
    }

    /** @throws NoSuchElementException where there is no such group */
    public ObjectNode group(String id) {
        List<ObjectNode> groups = jdbc.query("""
                select g.id, g.entity, g.system, g.route, g.step, g.error::text as error, g.state, g.note, g.changed_by,
                  g.changed_at, g.arrivals, g.first_seen, g.last_seen, count(d.id) as count,
                  count(distinct d.record_id) as records, min(d.first_failed_at) as oldest
                from letter_group g left join dead_letter d on d.failure_group = g.id and d.state in ('open', 'retrying')
                where g.id = ? group by g.id""", (row, n) -> group(row), id);
        if (groups.isEmpty()) {
            throw new NoSuchElementException("no group " + id);
        }
        return groups.get(0);
    }

    private static ObjectNode group(java.sql.ResultSet row) throws java.sql.SQLException {
        ObjectNode group = Json.MAPPER.createObjectNode();
        group.put("group", row.getString("id"));
        group.put("entity", row.getString("entity"));
        group.put("system", row.getString("system"));
        group.put("route", row.getString("route"));
        group.put("step", row.getString("step"));
        group.set("error", error(row.getString("error")));
        group.put("count", row.getLong("count"));
        group.put("records", row.getLong("records"));
        group.put("arrivals", row.getLong("arrivals"));
        group.put("first_seen", time(row.getTimestamp("first_seen")));
        group.put("last_seen", time(row.getTimestamp("last_seen")));
        group.put("oldest_open", time(row.getTimestamp("oldest")));
        group.put("state", row.getString("state"));
        group.put("note", Masking.inText(row.getString("note")));
        group.put("changed_by", row.getString("changed_by"));
        group.put("changed_at", time(row.getTimestamp("changed_at")));
        return group;
    }

    /**
     * Says what is known of a cause.
     *
     * @param state new, acknowledged, fixed or ignored, or null to leave it
     * @param note null leaves it, an empty one takes it away
     */
    public ObjectNode mark(String group, String state, String note, String who) {
        int done = jdbc.update(
                """
                update letter_group set state = coalesce(?, state), note = case when ? then nullif(?, '') else note end,
                  changed_by = ?, changed_at = clock_timestamp()
                where id = ?""",
                state,
                note != null,
                note == null ? null : note.replace('\0', ' ').strip(),
                who,
                group);
        if (done == 0) {
            throw new NoSuchElementException("no group " + group);
        }
        return group(group);
    }

    /** @param count of closed letters that retention takes before {@code until} */
    public record Ending(long count, Instant first, Instant until) {}

    /** What retention takes within a week. */
    public Ending ending() {
        Instant until = Instant.now().plus(Duration.ofDays(7));
        return jdbc.queryForObject(
                "select count(*), min(closed_at) from dead_letter where closed_at < ?",
                (row, n) -> new Ending(
                        row.getLong(1),
                        row.getTimestamp(2) == null
                                ? null
                                : row.getTimestamp(2).toInstant().plus(retention),
                        until),
                Timestamp.from(until.minus(retention)));
    }
}
