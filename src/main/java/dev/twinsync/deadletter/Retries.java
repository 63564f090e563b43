package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Records;
import java.math.BigDecimal;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Retries of letters. A retry is asked for, and its set is frozen then: letters that come later are not in it. What it
 * does is done by {@link RetryWorker}, on whichever instance is at it; what came of each letter is told by deliveries.
 */
@Component
public class Retries {

    private static final String OPERATION = """
            select o.id, o.state, o.filter::text as filter, o.reason, o.asked_by, o.patch is not null as edited, o.rate,
              o.canary, o.stop_at, o.total, o.paused_because, o.created_at, o.ended_at, c.*
            from retry_operation o cross join lateral (
              select count(*) filter (where i.state = 'pending') as pending,
                count(*) filter (where i.state in ('taken', 'sent')) as in_flight,
                count(i.sent_at) as sent,
                count(*) filter (where i.state = 'succeeded') as succeeded,
                count(*) filter (where i.state = 'failed_again') as failed_again,
                count(*) filter (where i.state = 'skipped') as skipped,
                count(*) filter (where i.state = 'cancelled') as cancelled
              from retry_item i where i.operation = o.id) c""";

    /** What may become of a letter of a retry, and where it is till then. */
    public static final List<String> OUTCOMES =
            List.of("pending", "taken", "sent", "succeeded", "failed_again", "skipped", "cancelled");

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final Schemas schemas;
    private final Records records;
    private final RetryWorker worker;

    Retries(JdbcTemplate jdbc, TransactionTemplate transaction, Schemas schemas, Records records, RetryWorker worker) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.schemas = schemas;
        this.records = records;
        this.worker = worker;
    }

    /**
     * What is asked of a set of letters.
     *
     * @param rate letters a second, null for as fast as they go
     * @param canary how many are sent first; the others follow when all of these have succeeded; 0 for none
     * @param stopAt the share of failures, 0 to 1, beyond which the retry pauses by itself; 1 for never
     * @param callKey the same key twice is one retry, or null
     */
    public record Ask(
            LetterFilter filter,
            BigDecimal rate,
            int canary,
            BigDecimal stopAt,
            String reason,
            String who,
            String callKey) {}

    /** Within which bounds the numbers of an ask lie. */
    public enum Bound {
        RATE("0.01", "10000"),
        CANARY("0", "10000"),
        STOP_AT("0", "1");

        private final BigDecimal least;
        private final BigDecimal most;

        Bound(String least, String most) {
            this.least = new BigDecimal(least);
            this.most = new BigDecimal(most);
        }

        public BigDecimal least() {
            return least;
        }

        public BigDecimal most() {
            return most;
        }

        /** Whether a number is within, a canary a whole one, and none has more digits than can be meant. */
        public boolean holds(BigDecimal number) {
            return number.compareTo(least) >= 0
                    && number.compareTo(most) <= 0
                    && number.scale() <= 30
                    && (this != CANARY || number.stripTrailingZeros().scale() <= 0);
        }
    }

    /** Freezes the open letters of a filter and begins to retry them; returns the operation's number. */
    public long many(Ask ask) {
        Long former = called(ask.callKey());
        if (former != null) {
            return former;
        }
        Long operation;
        try {
            operation = transaction.execute(status -> {
                Long id = insert(
                        Json.text(ask.filter().values()),
                        ask.callKey(),
                        ask.reason(),
                        ask.who(),
                        null,
                        ask.rate(),
                        ask.canary(),
                        ask.stopAt());
                StringBuilder sql = new StringBuilder("""
                        insert into retry_item (operation, position, letter)
                        select ?, row_number() over (order by d.id), d.id from dead_letter d
                        where d.state = 'open'""");
                List<Object> arguments = LetterFilter.arguments(id);
                ask.filter().where(sql, arguments);
                sql.append("""
                         and not exists (select from retry_item i
                           where i.letter = d.id and i.state in ('pending', 'taken', 'sent'))
                        on conflict (letter) where state in ('pending', 'taken', 'sent') do nothing""");
                int total = jdbc.update(sql.toString(), arguments.toArray());
                jdbc.update("""
                        update retry_operation set total = ?, state = case when ? = 0 then 'done' else state end,
                          ended_at = case when ? = 0 then clock_timestamp() end
                        where id = ?""", total, total, total, id);
                return id;
            });
        } catch (DuplicateKeyException e) {
            return called(ask.callKey());
        }
        worker.pass(operation);
        return operation;
    }

    private Long called(String key) {
        if (key == null) {
            return null;
        }
        List<Long> former = jdbc.queryForList("select id from retry_operation where call_key = ?", Long.class, key);
        return former.isEmpty() ? null : former.get(0);
    }

    private Long insert(
            String filter,
            String callKey,
            String reason,
            String who,
            String patch,
            BigDecimal rate,
            int canary,
            BigDecimal stopAt) {
        return jdbc.queryForObject(
                """
                insert into retry_operation (state, filter, call_key, reason, asked_by, patch, rate, canary, stop_at)
                values ('running', ?::jsonb, ?, ?, ?, ?::jsonb, ?, ?, ?) returning id""",
                Long.class,
                filter,
                callKey,
                reason == null ? null : reason.replace('\0', ' '),
                who,
                patch,
                rate,
                canary,
                stopAt);
    }

    private record Row(
            String state, String entity, String id, String system, String slot, byte[] message, String topic) {}

    private Row row(long letter) {
        List<Row> rows = jdbc.query(
                """
                select state, entity, record_id, system, slot, message, headers ->> 'kafka_dlt-original-topic' as topic
                from dead_letter where id = ?""",
                (row, n) -> new Row(
                        row.getString(1),
                        row.getString(2),
                        row.getString(3),
                        row.getString(4),
                        row.getString(5),
                        row.getBytes(6),
                        row.getString(7)),
                letter);
        if (rows.isEmpty()) {
            throw Letters.missing(letter);
        }
        return rows.get(0);
    }

    /**
     * Retries one letter, mended by a patch or as it is.
     *
     * @param patch JSON merge patch (RFC 7396), or null: on the record's fields where a delivery or a field failed, on the
     *     message where that could not be worked. It is validated before anything is sent.
     * @param callKey the same key twice is one retry, or null
     * @return the operation's number; while the letter is being retried, the same call is that retry
     * @throws DeadLetters.Refused where the letter is not open, or the patch can't be used
     */
    public long one(long letter, String reason, ObjectNode patch, String who, String callKey) {
        Long former = called(callKey);
        if (former != null) {
            return former;
        }
        Row row = row(letter);
        ObjectNode edit = patch == null || patch.isEmpty() ? null : edit(row, patch);
        Long same = same(letter, row.state(), edit);
        if (same != null) {
            return same;
        }
        if (!row.state().equals("open")) {
            throw new DeadLetters.Refused("the letter is " + row.state() + "; only an open one can be retried");
        }
        Letter.Kind kind = Letter.kind(row.slot());
        if ((kind == Letter.Kind.MESSAGE || kind == Letter.Kind.UNKNOWN) && !worker.owns(row.topic())) {
            throw new DeadLetters.Refused("the letter is of " + row.topic()
                    + ", which this service does not work; discard it here and retry it there");
        }
        Long operation;
        try {
            operation = transaction.execute(status -> {
                Long id = insert(
                        Json.text(Map.of("ids", String.valueOf(letter))),
                        callKey,
                        reason,
                        who,
                        edit == null ? null : Json.text(edit),
                        null,
                        0,
                        BigDecimal.ONE);
                jdbc.update("insert into retry_item (operation, position, letter) values (?, 1, ?)", id, letter);
                jdbc.update("update retry_operation set total = 1 where id = ?", id);
                return id;
            });
        } catch (DuplicateKeyException e) {
            // clicked twice: the other call was a moment faster
            Long other = called(callKey);
            other = other == null ? same(letter, "retrying", edit) : other;
            if (other == null) {
                throw new DeadLetters.Refused("the letter is being retried with another edit");
            }
            return other;
        }
        worker.pass(operation);
        return operation;
    }

    /** The retry that this very call has begun already: under way, or just ended well. */
    private Long same(long letter, String state, ObjectNode edit) {
        if (!List.of("open", "retrying", "resolved").contains(state)) {
            return null;
        }
        List<Object[]> items =
                jdbc.query("""
                select i.operation, i.state, o.patch::text from retry_item i join retry_operation o on o.id = i.operation
                where i.letter = ? order by i.operation desc limit 1""", (row, n) -> new Object[] {row.getLong(1), row.getString(2), row.getString(3)}, letter);
        if (items.isEmpty()) {
            return null;
        }
        Object[] last = items.get(0);
        boolean active = List.of("pending", "taken", "sent").contains(last[1]);
        JsonNode patch = last[2] == null ? null : Json.read((String) last[2]);
        if (active && edit != null && !edit.equals(patch)) {
            throw new DeadLetters.Refused("the letter is being retried by operation " + last[0]);
        }
        return active || state.equals("resolved") && edit == null ? (Long) last[0] : null;
    }

    /** Validates an edit and tells its difference. */
    private ObjectNode edit(Row row, ObjectNode patch) {
        Letter.Kind kind = Letter.kind(row.slot());
        if (kind == Letter.Kind.MESSAGE || kind == Letter.Kind.UNKNOWN) {
            worker.validate(row.entity(), row.topic(), RetryWorker.merged(row.message(), patch));
            return patch;
        }
        if (!schemas.has(row.entity())) {
            throw new DeadLetters.Refused("there is no entity " + row.entity());
        }
        Schema schema = schemas.of(row.entity());
        // the request has its fields under data: both ways of writing are taken
        ObjectNode fields =
                patch.size() == 1 && patch.get("data") instanceof ObjectNode data && schema.field("data") == null
                        ? data
                        : patch;
        Golden golden =
                records.load(row.entity(), List.of(row.id())).get(row.id()).golden();
        List<Schema.Problem> problems =
                new ArrayList<>(schema.normalise(fields, false).problems());
        fields.properties().forEach(field -> {
            JsonNode known = golden.value(field.getKey());
            JsonNode masked = Masks.value(schema, field.getKey(), known);
            if (known != null && !known.equals(masked) && field.getValue().equals(masked)) {
                problems.add(new Schema.Problem(
                        '/' + field.getKey(),
                        field.getKey(),
                        "this is the masked value: leave the field out and it stays as it is"));
            }
        });
        if (!problems.isEmpty()) {
            throw new DeadLetters.Refused("the body can't be used", problems);
        }
        return fields;
    }

    /**
     * @param total letters that a retry would take
     * @param beingRetried letters of the filter that another retry has
     * @param upTo the largest id of them all, or null where there is none
     */
    public record Frozen(int total, int beingRetried, Long upTo) {}

    /** How many letters a retry of a filter would take; with {@code up_to} it is of these, and of none that come later. */
    public Frozen frozen(LetterFilter filter) {
        StringBuilder sql = new StringBuilder("""
                select count(*) filter (where not active), count(*) filter (where active), max(id) from (
                  select d.id, exists (
                    select from retry_item i where i.letter = d.id and i.state in ('pending', 'taken', 'sent')) as active
                  from dead_letter d where d.state in ('open', 'retrying')""");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        sql.append(") l");
        return jdbc.queryForObject(
                sql.toString(),
                (row, n) -> new Frozen(row.getInt(1), row.getInt(2), (Long) row.getObject(3)),
                arguments.toArray());
    }

    /** What a retry of a filter's open letters would do, by what would happen first. */
    public record Plan(int total, Map<String, Integer> would, int superseded, int newer, int beingRetried, Long upTo) {}

    /**
     * Tells what a retry would do, without doing it. A retry of the same filter with {@code up_to} is of the letters that
     * were counted, and of none that came later.
     */
    public Plan plan(LetterFilter filter) {
        StringBuilder sql = new StringBuilder("""
                select d.id, d.entity, d.record_id, d.system, d.slot, d.version, d.headers ->> 'kafka_dlt-original-topic',
                  exists (select from retry_item i where i.letter = d.id and i.state in ('pending', 'taken', 'sent'))
                from dead_letter d where d.state in ('open', 'retrying')""");
        List<Object> arguments = LetterFilter.arguments();
        filter.where(sql, arguments);
        record Line(long id, String entity, String key, String system, String slot, Long version, String topic) {}
        Map<String, List<Line>> byEntity = new LinkedHashMap<>();
        int[] active = new int[1];
        long[] newest = new long[1];
        jdbc.query(
                sql.toString(),
                row -> {
                    newest[0] = Math.max(newest[0], row.getLong(1));
                    if (row.getBoolean(8)) {
                        active[0]++;
                        return;
                    }
                    byEntity.computeIfAbsent(row.getString(2), e -> new ArrayList<>())
                            .add(new Line(
                                    row.getLong(1),
                                    row.getString(2),
                                    row.getString(3),
                                    row.getString(4),
                                    row.getString(5),
                                    (Long) row.getObject(6),
                                    row.getString(7)));
                },
                arguments.toArray());
        Map<Preview.Would, Integer> would = new EnumMap<>(Preview.Would.class);
        int total = 0;
        int superseded = 0;
        int newer = 0;
        for (Map.Entry<String, List<Line>> entry : byEntity.entrySet()) {
            List<Line> lines = entry.getValue();
            total += lines.size();
            for (int i = 0; i < lines.size(); i += 500) {
                List<Line> page = lines.subList(i, Math.min(lines.size(), i + 500));
                Map<String, Records.Snapshot> snapshots = schemas.has(entry.getKey())
                        ? records.load(
                                entry.getKey(), page.stream().map(Line::key).toList())
                        : Map.of();
                for (Line line : page) {
                    Records.Snapshot snapshot = snapshots.get(line.key());
                    Preview.Would what = Preview.Would.NOTHING;
                    if (snapshot != null) {
                        what = worker.preview()
                                .of(
                                        schemas.of(entry.getKey()),
                                        line.slot(),
                                        Json.MAPPER
                                                .createObjectNode()
                                                .put(
                                                        "kafka_dlt-original-topic",
                                                        line.topic() == null ? "" : line.topic()),
                                        snapshot,
                                        line.system())
                                .would();
                        if (line.version() != null && line.slot().isEmpty()) {
                            superseded += what == Preview.Would.CLOSE ? 1 : 0;
                            newer += what != Preview.Would.CLOSE
                                            && snapshot.golden().version() > line.version()
                                    ? 1
                                    : 0;
                        }
                    }
                    would.merge(what, 1, Integer::sum);
                }
            }
        }
        Map<String, Integer> named = new LinkedHashMap<>();
        for (Preview.Would what : Preview.Would.values()) {
            named.put(what.name().toLowerCase(java.util.Locale.ROOT), would.getOrDefault(what, 0));
        }
        return new Plan(total, named, superseded, newer, active[0], newest[0] == 0 ? null : newest[0]);
    }

    /** Holds a running retry; what is under way ends as it ends. */
    public void pause(long operation, String who) {
        move(operation, """
                update retry_operation set state = 'paused', paused_because = ? where id = ? and state = 'running'""", "paused by " + who, operation);
    }

    /** Goes on with a paused retry; its canary and bound are judged anew. */
    public void resume(long operation) {
        move(operation, """
                update retry_operation o set state = 'running', paused_because = null, paced_at = clock_timestamp(),
                  window_from = (select coalesce(max(i.position), 0) from retry_item i
                    where i.operation = o.id and i.state <> 'pending')
                where o.id = ? and o.state = 'paused'""", operation);
        worker.pass(operation);
    }

    /** Ends a retry; letters that were not sent yet stay as they are, what is under way ends as it ends. */
    public void cancel(long operation) {
        transaction.executeWithoutResult(status -> {
            move(operation, """
                    update retry_operation set state = 'cancelled', ended_at = clock_timestamp()
                    where id = ? and state in ('running', 'paused')""", operation);
            jdbc.update("""
                    update retry_item set state = 'cancelled', ended_at = clock_timestamp()
                    where operation = ? and state = 'pending'""", operation);
        });
    }

    private void move(long operation, String sql, Object... arguments) {
        if (jdbc.update(sql, arguments) == 0) {
            throw new DeadLetters.Refused(
                    "the retry is " + operation(operation).path("state").asText());
        }
    }

    /** @throws NoSuchElementException where there is no such operation */
    public ObjectNode operation(long operation) {
        List<ObjectNode> found = jdbc.query(OPERATION + " where o.id = ?", (row, n) -> json(row), operation);
        if (found.isEmpty()) {
            throw new NoSuchElementException("no retry " + operation);
        }
        return found.get(0);
    }

    /** Retries newest first, with a smaller number than {@code after}. */
    public List<ObjectNode> list(long after, int limit) {
        return jdbc.query(
                OPERATION.replace(
                                "from retry_operation o",
                                "from (select * from retry_operation where id < ? order by id desc limit ?) o")
                        + " order by o.id desc",
                (row, n) -> json(row),
                after,
                limit);
    }

    /** Retries that have not ended, newest first: one that is paused waits for somebody, however many came after it. */
    public List<ObjectNode> underWay() {
        return jdbc.query(
                OPERATION + " where o.state in ('running', 'paused') order by o.id desc limit 20",
                (row, n) -> json(row));
    }

    private static ObjectNode json(java.sql.ResultSet row) throws java.sql.SQLException {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.put("operation", String.valueOf(row.getLong("id")));
        json.put("state", row.getString("state"));
        json.put("paused_because", row.getString("paused_because"));
        ObjectNode filter = json.putObject("filter");
        Json.read(row.getString("filter"))
                .properties()
                .forEach(word -> filter.put(
                        word.getKey(),
                        word.getKey().equals("q")
                                ? Masking.inText(word.getValue().asText())
                                : word.getValue().asText()));
        json.put("reason", Masking.inText(row.getString("reason")));
        json.put("by", row.getString("asked_by"));
        json.put("edited", row.getBoolean("edited"));
        json.put("rate", row.getBigDecimal("rate"));
        json.put("canary", row.getInt("canary"));
        json.put("stop_at_failure_ratio", row.getBigDecimal("stop_at"));
        json.put("total", row.getInt("total"));
        json.put("pending", row.getInt("pending"));
        json.put("in_flight", row.getInt("in_flight"));
        json.put("sent", row.getInt("sent"));
        json.put("succeeded", row.getInt("succeeded"));
        json.put("failed_again", row.getInt("failed_again"));
        json.put("skipped_superseded", row.getInt("skipped"));
        json.put("cancelled", row.getInt("cancelled"));
        json.put("created_at", time(row.getTimestamp("created_at")));
        json.put("ended_at", time(row.getTimestamp("ended_at")));
        return json;
    }

    private static String time(Timestamp at) {
        return at == null ? null : at.toInstant().toString();
    }

    /** What became of each letter of a retry, in order, from the position after {@code after}. */
    public List<ObjectNode> items(long operation, String state, long after, int limit) {
        operation(operation);
        return jdbc.query(
                """
                select i.position, i.letter, i.state, i.note, i.sent_at, i.ended_at, d.entity, d.record_id, d.system
                from retry_item i join dead_letter d on d.id = i.letter
                where i.operation = ? and i.position > ? and (cast(? as text) is null or i.state = ?)
                order by i.position limit ?""",
                (row, n) -> {
                    ObjectNode item = Json.MAPPER.createObjectNode();
                    item.put("position", row.getInt(1));
                    item.put("letter", row.getLong(2));
                    item.put("outcome", row.getString(3));
                    item.put("note", row.getString(4));
                    item.put("sent_at", time(row.getTimestamp(5)));
                    item.put("ended_at", time(row.getTimestamp(6)));
                    item.put("entity", row.getString(7));
                    item.put("key", row.getString(8));
                    item.put("system", row.getString(9));
                    return item;
                },
                operation,
                after,
                state,
                state,
                limit);
    }
}
