package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.flow.Retried;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.ObservationJson;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import dev.twinsync.state.Topics;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.PreparedStatement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.camel.Message;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.PlatformTransactionManager;
import org.springframework.transaction.TransactionDefinition;
import org.springframework.transaction.TransactionException;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Does what a retry asks for, turn by turn: takes the next letters of its set, at its pace, sends them and leaves their
 * outcome to the deliveries. A letter is taken in the tables before it is sent, so that a crash in between sends it
 * again and loses none; sent twice, it has one effect, since a delivery sends what is due and no more. One instance is
 * at a retry at a time; when it goes, another goes on.
 */
@Component
class RetryWorker {

    private static final Logger LOG = LoggerFactory.getLogger(RetryWorker.class);
    private static final int MOST_A_TURN = 500;
    private static final int MOST_IN_FLIGHT = 1000;
    /** Where failures may stop a retry, no more than this is under way, or the stop would come late. */
    private static final int MOST_IN_FLIGHT_BOUND = 100;
    /** Failures are a share of at least so many. */
    private static final int LEAST_JUDGED = 10;

    private static final String OPERATION = "sync-retry-operation";

    private final JdbcTemplate jdbc;
    private final TransactionTemplate lock;
    private final TransactionTemplate transaction;
    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final DeadLetters deadLetters;
    private final Capture capture;
    private final Preview preview;
    private final Map<Long, Instant> settled = new ConcurrentHashMap<>();
    private final Map<Long, Instant> later = new ConcurrentHashMap<>();
    private volatile Instant nextLook = Instant.EPOCH;

    /** A turn needs two connections, one of them for its lock: turns of one instance go one after the other. */
    private final ExecutorService turns = Executors.newSingleThreadExecutor(run -> {
        Thread thread = new Thread(run, "retry");
        thread.setDaemon(true);
        return thread;
    });

    RetryWorker(
            JdbcTemplate jdbc,
            PlatformTransactionManager transactions,
            Schemas schemas,
            Records records,
            Observations observations,
            DeadLetters deadLetters,
            Capture capture,
            Preview preview) {
        this.jdbc = jdbc;
        this.lock = new TransactionTemplate(transactions);
        this.transaction = new TransactionTemplate(transactions);
        this.transaction.setPropagationBehavior(TransactionDefinition.PROPAGATION_REQUIRES_NEW);
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.deadLetters = deadLetters;
        this.capture = capture;
        this.preview = preview;
    }

    Preview preview() {
        return preview;
    }

    boolean owns(String topic) {
        return topic != null && preview.owns(topic);
    }

    @Scheduled(fixedDelayString = "${twinsync.dead-letters.retry.turn:200ms}")
    void turn() {
        Instant now = Instant.now();
        if (now.isBefore(nextLook)) {
            return;
        }
        try {
            List<Long> operations = jdbc.queryForList("""
                    select id from retry_operation where state = 'running'
                    union select distinct operation from retry_item where state in ('taken', 'sent') order by 1""", Long.class);
            settled.keySet().retainAll(operations);
            later.keySet().retainAll(operations);
            // one that is asked for here begins at once; one of another instance can wait for a second
            nextLook = operations.isEmpty() ? now.plusSeconds(1) : now;
            operations.forEach(this::pass);
        } catch (DataAccessException | TransactionException e) {
            // the state's database is away, as health says; the retries are in it and go on with it
            LOG.debug("retries can't be looked for: {}", e.toString());
        }
    }

    /** One turn of an operation, begun at once; where it takes long, the caller does not wait for its end. */
    void pass(long operation) {
        nextLook = Instant.EPOCH;
        Future<?> pass = turns.submit(() -> guarded(operation));
        try {
            pass.get(2, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (TimeoutException e) {
            LOG.debug("the turn of retry {} goes on", operation);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
    }

    private void guarded(long operation) {
        Instant pause = later.get(operation);
        if (pause != null && Instant.now().isBefore(pause)) {
            return;
        }
        try {
            lock.executeWithoutResult(status -> {
                jdbc.execute("set local idle_in_transaction_session_timeout = '60s'");
                Boolean ours = jdbc.queryForObject(
                        "select pg_try_advisory_xact_lock(hashtextextended('twinsync/retry/' || ?, 0))",
                        Boolean.class,
                        operation);
                if (Boolean.TRUE.equals(ours)) {
                    work(operation);
                }
            });
            later.remove(operation);
        } catch (RuntimeException e) {
            if (pause == null) {
                LOG.warn("retry {} does not get on and tries again: {}", operation, e.toString());
            }
            later.put(operation, Instant.now().plusSeconds(2));
        }
    }

    private record Operation(
            String state,
            String reason,
            String by,
            ObjectNode patch,
            Instant createdAt,
            BigDecimal rate,
            int canary,
            BigDecimal stopAt,
            int total,
            int windowFrom) {}

    private void work(long id) {
        Operation operation = jdbc.query(
                        """
                        select state, reason, asked_by, patch::text, created_at, rate, canary, stop_at, total, window_from
                        from retry_operation where id = ?""",
                        (row, n) -> new Operation(
                                row.getString(1),
                                row.getString(2),
                                row.getString(3),
                                row.getString(4) == null ? null : (ObjectNode) Json.read(row.getString(4)),
                                row.getTimestamp(5).toInstant(),
                                row.getBigDecimal(6),
                                row.getInt(7),
                                row.getBigDecimal(8),
                                row.getInt(9),
                                row.getInt(10)),
                        id)
                .get(0);
        // what was taken by a turn that was cut off
        send(id, operation, taken(id));
        Instant last = settled.get(id);
        if (last == null || last.isBefore(Instant.now().minusSeconds(1))) {
            settle(id);
            settled.put(id, Instant.now());
        }
        if (operation.state().equals("running")) {
            int next = allowed(id, operation);
            if (next > 0) {
                take(id, operation, next);
                send(id, operation, taken(id));
            }
        }
    }

    private record Counts(int pending, int inFlight, int succeeded, int failed) {}

    private Counts counts(String of, Object... arguments) {
        return jdbc.queryForObject(
                """
                select count(*) filter (where state = 'pending'), count(*) filter (where state in ('taken', 'sent')),
                  count(*) filter (where state = 'succeeded'), count(*) filter (where state = 'failed_again')
                from """ + ' ' + of,
                (row, n) -> new Counts(row.getInt(1), row.getInt(2), row.getInt(3), row.getInt(4)),
                arguments);
    }

    /** How many letters may be sent now; ends or pauses the operation where it is to end or to pause. */
    private int allowed(long id, Operation operation) {
        Counts all = counts("retry_item where operation = ?", id);
        if (all.pending() == 0 && all.inFlight() == 0) {
            move("""
                    update retry_operation set state = 'done', ended_at = clock_timestamp(),
                      patch = case when patch is not null then '{}'::jsonb end
                    where id = ? and state = 'running'""", id);
            return 0;
        }
        boolean bound = operation.stopAt().compareTo(BigDecimal.ONE) < 0;
        Counts judged = counts("retry_item where operation = ? and position > ?", id, operation.windowFrom());
        int finished = judged.succeeded() + judged.failed();
        double most = operation.stopAt().doubleValue() * Math.max(finished, Math.min(LEAST_JUDGED, operation.total()));
        if (bound && judged.failed() > most && all.pending() > 0) {
            pause(id, judged.failed() + " of " + finished + " failed again");
            return 0;
        }
        int allowed = Math.min(MOST_A_TURN, (bound ? MOST_IN_FLIGHT_BOUND : MOST_IN_FLIGHT) - all.inFlight());
        if (operation.canary() > 0 && all.pending() > 0) {
            Counts canary = counts(
                    "(select state from retry_item where operation = ? and position > ? order by position limit ?) c",
                    id,
                    operation.windowFrom(),
                    operation.canary());
            if (canary.failed() > 0) {
                pause(id, "the canary failed again: " + canary.failed() + " of " + operation.canary());
                return 0;
            }
            if (canary.pending() > 0) {
                allowed = Math.min(allowed, canary.pending());
            } else if (canary.inFlight() > 0) {
                allowed = 0;
            }
        }
        return Math.max(0, allowed);
    }

    private void pause(long id, String because) {
        move(
                "update retry_operation set state = 'paused', paused_because = ? where id = ? and state = 'running'",
                because,
                id);
        LOG.warn("retry {} pauses: {}", id, because);
    }

    private void move(String sql, Object... arguments) {
        transaction.executeWithoutResult(status -> jdbc.update(sql, arguments));
    }

    /** Takes the next letters as far as the pace lets it; a letter that is open no more is passed over. */
    private void take(long id, Operation operation, int most) {
        transaction.executeWithoutResult(status -> {
            int next = most;
            // a pause or a cancel waits for this row, and what it finds then is what was taken before it
            List<String> state =
                    jdbc.queryForList("select state from retry_operation where id = ? for update", String.class, id);
            if (!state.equals(List.of("running"))) {
                return;
            }
            if (operation.rate() != null) {
                // a pace that was not used up is not made good later but for half a second
                Integer paced = jdbc.queryForObject("""
                        with p as (select rate, greatest(paced_at, clock_timestamp() - greatest(1 / rate, 0.5) * interval '1 s') as since
                          from retry_operation where id = ?),
                        n as (select rate, since, least(?, floor(extract(epoch from clock_timestamp() - since) * rate + 0.001)) as n
                          from p),
                        u as (update retry_operation o set paced_at = n.since + n.n / n.rate * interval '1 s'
                          from n where o.id = ? and n.n > 0)
                        select n from n""", Integer.class, id, most, id);
                next = paced == null ? 0 : paced;
            }
            if (next == 0) {
                return;
            }
            ObjectNode entry = Json.MAPPER.createObjectNode();
            entry.put("at", Instant.now().toString()).put("by", operation.by()).put("reason", operation.reason());
            entry.put("operation", id);
            if (operation.patch() != null) {
                entry.set("fields", difference(id, operation.patch()));
            }
            jdbc.update("""
                    with next as (
                      select i.position, i.letter, d.state from retry_item i join dead_letter d on d.id = i.letter
                      where i.operation = ? and i.state = 'pending' order by i.position limit ? for update of d skip locked),
                    taken as (
                      update dead_letter d set state = 'retrying', retries = d.retries || ?::jsonb
                      from next where d.id = next.letter and next.state = 'open')
                    update retry_item i set state = case when next.state = 'open' then 'taken' else 'skipped' end,
                      note = case when next.state <> 'open' then next.state end,
                      ended_at = case when next.state <> 'open' then clock_timestamp() end
                    from next where i.operation = ? and i.position = next.position and i.state = 'pending'""", id, next, Json.text(entry), id);
        });
    }

    private record Taken(
            long letter,
            String entity,
            String id,
            String system,
            String slot,
            byte[] message,
            Map<String, String> headers) {
        Letter.Kind kind() {
            return Letter.kind(slot);
        }

        String topic() {
            return headers.getOrDefault("kafka_dlt-original-topic", "");
        }
    }

    private List<Taken> taken(long operation) {
        return jdbc.query(
                """
                select d.id, d.entity, d.record_id, d.system, d.slot,
                  case when d.slot like '%@%' then d.message end, case when d.slot like '%@%' then d.headers::text end
                from retry_item i join dead_letter d on d.id = i.letter
                where i.operation = ? and i.state = 'taken' order by i.position""",
                (row, n) -> {
                    Map<String, String> headers = new TreeMap<>();
                    if (row.getString(7) != null) {
                        Json.read(row.getString(7))
                                .properties()
                                .forEach(header -> headers.put(
                                        header.getKey(), header.getValue().asText()));
                    }
                    return new Taken(
                            row.getLong(1),
                            row.getString(2),
                            row.getString(3),
                            row.getString(4),
                            row.getString(5),
                            row.getBytes(6),
                            headers);
                },
                operation);
    }

    private record At(String entity, String system) {}

    private void send(long operation, Operation asked, List<Taken> letters) {
        Map<At, List<Taken>> deliveries = new HashMap<>();
        Map<At, List<Taken>> fields = new HashMap<>();
        List<Taken> messages = new ArrayList<>();
        List<Taken> foreign = new ArrayList<>();
        for (Taken letter : letters) {
            At at = new At(letter.entity(), letter.system());
            switch (letter.kind()) {
                case DELIVERY ->
                    deliveries.computeIfAbsent(at, k -> new ArrayList<>()).add(letter);
                case FIELD -> fields.computeIfAbsent(at, k -> new ArrayList<>()).add(letter);
                case MESSAGE, UNKNOWN -> (owns(letter.topic()) ? messages : foreign).add(letter);
            }
        }
        deliveries.forEach((at, some) -> {
            if (asked.patch() == null || !mend(operation, asked, some.get(0))) {
                unrefuse(at, some.stream().map(Taken::id).toList());
                observations.send(some.stream()
                        .map(letter ->
                                marked(deadLetters.due(at.entity(), at.system(), letter.id()), operation, letter))
                        .toList());
            }
            sent(operation, some);
        });
        if (!messages.isEmpty()) {
            observations.send(messages.stream()
                    .map(letter -> original(operation, asked, letter))
                    .toList());
            sent(operation, messages);
        }
        if (!foreign.isEmpty()) {
            decline(operation, foreign);
        }
        fields.forEach((at, some) -> {
            // what an edit puts there is seen when it has been written; until then the field is what it was
            if (asked.patch() == null || !mend(operation, asked, some.get(0))) {
                read(at, some.stream().map(Taken::id).toList());
            }
            sent(operation, some);
        });
    }

    private void read(At at, Collection<String> ids) {
        capture.readNow(at.system(), at.entity(), ids.stream().distinct().toList());
    }

    /** What is of another service's topic is not put there by us: the letter stays open. */
    private void decline(long operation, List<Taken> letters) {
        transaction.executeWithoutResult(status -> jdbc.update(connection -> {
            PreparedStatement update = connection.prepareStatement("""
                    with opened as (
                      update dead_letter set state = 'open' where id = any (?) and state = 'retrying')
                    update retry_item set state = 'skipped', note = 'not worked by this service', ended_at = clock_timestamp()
                    where operation = ? and letter = any (?) and state = 'taken'""");
            Array ids = connection.createArrayOf(
                    "bigint", letters.stream().map(Taken::letter).toArray());
            update.setArray(1, ids);
            update.setLong(2, operation);
            update.setArray(3, ids);
            return update;
        }));
    }

    private static Message marked(Message message, long operation, Taken letter) {
        message.setHeader(Retried.HEADER, String.valueOf(letter.letter()));
        message.setHeader(OPERATION, String.valueOf(operation));
        return message;
    }

    private Message original(long operation, Operation asked, Taken letter) {
        byte[] bytes = letter.message();
        String place = letter.slot().substring(letter.slot().indexOf('@') + 1);
        String key = letter.id().equals(place) ? null : letter.id();
        if (asked.patch() != null) {
            JsonNode mended = merged(bytes, asked.patch());
            bytes = Json.bytes(mended);
            key = mended.path("id").asText(key);
        }
        Message message = observations.message(letter.topic(), key, bytes);
        letter.headers().forEach((name, value) -> {
            if (!name.startsWith("kafka_dlt-") && !name.startsWith("sync-")) {
                message.setHeader(name, value);
            }
        });
        return marked(message, operation, letter);
    }

    /** The operator's edit of a record's fields, where it says something new; the merge makes it due by itself. */
    private boolean mend(long operation, Operation asked, Taken letter) {
        Schema schema = schemas.of(letter.entity());
        Records.Snapshot snapshot =
                records.load(letter.entity(), List.of(letter.id())).get(letter.id());
        Golden golden = snapshot.golden();
        Set<String> unusable = snapshot.bases()
                .getOrDefault(letter.system(), Base.unknown(letter.system()))
                .unusable();
        boolean news = schema.normalise(asked.patch(), false).values().entrySet().stream()
                .anyMatch(value -> !Due.same(value.getValue(), golden.value(value.getKey()))
                        || unusable.contains(Due.name(value.getKey())));
        if (news) {
            observations.publish(List.of(Observations.push(
                    letter.entity(),
                    letter.id(),
                    Merge.OPERATOR,
                    asked.patch(),
                    null,
                    asked.createdAt(),
                    UUID.nameUUIDFromBytes(
                                    ("retry/" + operation + '/' + letter.letter()).getBytes(StandardCharsets.UTF_8))
                            .toString())));
        }
        return news;
    }

    /** What an edit changes, as it may be shown. */
    private ObjectNode difference(long operation, ObjectNode patch) {
        ObjectNode fields = Json.MAPPER.createObjectNode();
        List<Taken> letters = jdbc.query(
                """
                select d.id, d.entity, d.record_id, d.system, d.slot, d.message
                from retry_item i join dead_letter d on d.id = i.letter where i.operation = ?""",
                (row, n) -> new Taken(
                        row.getLong(1),
                        row.getString(2),
                        row.getString(3),
                        row.getString(4),
                        row.getString(5),
                        row.getBytes(6),
                        Map.of()),
                operation);
        Taken letter = letters.get(0);
        if (letter.kind() == Letter.Kind.DELIVERY || letter.kind() == Letter.Kind.FIELD) {
            Schema schema = schemas.of(letter.entity());
            Map<String, JsonNode> values = records.load(letter.entity(), List.of(letter.id()))
                    .get(letter.id())
                    .golden()
                    .values();
            schema.normalise(patch, false).values().forEach((path, value) -> {
                ObjectNode field = fields.putObject(path);
                field.set("from", Masks.value(schema, path, values.get(path)));
                field.set("to", Masks.value(schema, path, value));
            });
            return fields;
        }
        JsonNode before = preview.masked(letter.message());
        JsonNode after = preview.masked(Json.bytes(merged(letter.message(), patch)));
        patch.fieldNames().forEachRemaining(name -> {
            ObjectNode field = fields.putObject(name);
            field.set("from", before == null ? null : before.get(name));
            field.set("to", after.get(name));
        });
        return fields;
    }

    /**
     * The refusals are taken back, and the next write of the version takes another key. Taking a revision makes whoever
     * has read the base before read it again, so that nobody puts the refusal back.
     */
    private void unrefuse(At at, Collection<String> ids) {
        transaction.executeWithoutResult(status -> jdbc.update(connection -> {
            PreparedStatement update = connection.prepareStatement("""
                    with refused as (
                      select id from base where entity = ? and system = ? and id = any (?) and refused is not null
                      order by id for update)
                    update base b set refused = null, key_number = b.key_number + 1, revision = b.revision + 1
                    from refused where b.entity = ? and b.system = ? and b.id = refused.id""");
            update.setString(1, at.entity());
            update.setString(2, at.system());
            update.setArray(3, connection.createArrayOf("text", ids.toArray()));
            update.setString(4, at.entity());
            update.setString(5, at.system());
            return update;
        }));
    }

    private void sent(long operation, List<Taken> letters) {
        transaction.executeWithoutResult(status -> jdbc.update(connection -> {
            // an outcome may have been faster
            PreparedStatement update = connection.prepareStatement("""
                    update retry_item set sent_at = clock_timestamp(), state = case when state = 'taken' then 'sent' else state end
                    where operation = ? and letter = any (?) and sent_at is null""");
            update.setLong(1, operation);
            update.setArray(
                    2,
                    connection.createArrayOf(
                            "bigint", letters.stream().map(Taken::letter).toArray()));
            return update;
        }));
    }

    /** Ends what no delivery will: records that wait for a field, and letters that were ended by another way. */
    private void settle(long operation) {
        move("""
                with waiting as (
                  select i.position, i.letter, array_to_string(b.waiting_for, ', ') as fields
                  from retry_item i join dead_letter d on d.id = i.letter
                    join base b on b.entity = d.entity and b.id = d.record_id and b.system = d.system
                  where i.operation = ? and i.state = 'sent' and i.sent_at < clock_timestamp() - interval '3 s'
                    and d.slot = '' and d.state = 'retrying' and b.waiting_for is not null
                  for update of d skip locked),
                opened as (update dead_letter d set state = 'open' from waiting where d.id = waiting.letter)
                update retry_item i set state = 'skipped', note = 'waits for ' || waiting.fields, ended_at = clock_timestamp()
                from waiting where i.operation = ? and i.position = waiting.position""", operation, operation);
        move("""
                update retry_item i set ended_at = clock_timestamp(), note = d.state,
                  state = case d.state when 'resolved' then 'succeeded' when 'open' then 'failed_again' else 'skipped' end
                from dead_letter d
                where i.operation = ? and i.state in ('taken', 'sent') and d.id = i.letter and d.state <> 'retrying'""", operation);
        nudge(operation);
    }

    /** A field that an edit has not mended yet is looked at; a refusal that was put back while the letter was on its way is taken back again. */
    private void nudge(long operation) {
        Map<At, List<String>> stuck = new HashMap<>();
        jdbc.query(
                """
                select d.entity, d.system, d.record_id
                from retry_item i join dead_letter d on d.id = i.letter
                  join base b on b.entity = d.entity and b.id = d.record_id and b.system = d.system
                  join golden g on g.entity = d.entity and g.id = d.record_id and g.version = b.refused
                where i.operation = ? and i.state = 'sent' and i.sent_at < clock_timestamp() - interval '10 s'
                  and d.slot = '' and d.state = 'retrying'""",
                row -> {
                    stuck.computeIfAbsent(new At(row.getString(1), row.getString(2)), k -> new ArrayList<>())
                            .add(row.getString(3));
                },
                operation);
        Map<At, List<String>> fields = new HashMap<>();
        jdbc.query(
                """
                select d.entity, d.system, d.record_id from retry_item i join dead_letter d on d.id = i.letter
                where i.operation = ? and i.state = 'sent' and i.sent_at < clock_timestamp() - interval '10 s'
                  and d.slot <> '' and d.slot not like '%@%' and d.state = 'retrying'""",
                row -> {
                    fields.computeIfAbsent(new At(row.getString(1), row.getString(2)), k -> new ArrayList<>())
                            .add(row.getString(3));
                },
                operation);
        // an edit that did not get to its system: what is read there says so, and the letter has failed again
        fields.forEach(this::read);
        stuck.forEach((at, ids) -> {
            unrefuse(at, ids);
            deadLetters.publishDue(at.entity(), at.system(), ids);
        });
    }

    /** The message with a merge patch (RFC 7396) applied; what is no JSON object is replaced by the patch. */
    static JsonNode merged(byte[] message, ObjectNode patch) {
        JsonNode original;
        try {
            original = message == null ? null : Json.read(message);
        } catch (IllegalArgumentException e) {
            original = null;
        }
        return merged(original, patch);
    }

    private static JsonNode merged(JsonNode target, JsonNode patch) {
        if (!(patch instanceof ObjectNode changes)) {
            return patch;
        }
        ObjectNode result = target instanceof ObjectNode object ? object.deepCopy() : Json.MAPPER.createObjectNode();
        changes.properties().forEach(change -> {
            if (change.getValue().isNull()) {
                result.remove(change.getKey());
            } else {
                result.set(change.getKey(), merged(result.get(change.getKey()), change.getValue()));
            }
        });
        return result;
    }

    /** @throws DeadLetters.Refused where the message could not be worked */
    void validate(String entity, String topic, JsonNode message) {
        List<Schema.Problem> problems = new ArrayList<>();
        if (!owns(topic)) {
            throw new DeadLetters.Refused("the letter is of " + topic + ", which this service does not work");
        }
        if (topic.equals(Topics.observed(DeadLetters.entity(topic)))) {
            Schema schema = schemas.of(DeadLetters.entity(topic));
            try {
                Observation o = ObservationJson.read(Json.bytes(message));
                if (!o.entity().equals(schema.entity())) {
                    problems.add(problem("entity", "write " + schema.entity()));
                }
                String refused = schema.refuseId(o.id());
                if (refused != null) {
                    problems.add(problem("id", refused));
                }
                boolean push = o.kind() == Observation.Kind.PUSH;
                if (!schema.systems().contains(o.system())
                        && !(push && o.system().equals(Merge.OPERATOR))) {
                    problems.add(problem("system", "write one of " + schema.systems()));
                }
                if (push) {
                    schema.normalise(o.data(), false)
                            .problems()
                            .forEach(p ->
                                    problems.add(new Schema.Problem("/data" + p.pointer(), p.field(), p.message())));
                }
            } catch (IllegalArgumentException e) {
                String text = String.valueOf(e.getMessage());
                int colon = text.indexOf(':');
                boolean named = colon > 0 && text.substring(0, colon).matches("[a-z_]+");
                problems.add(problem(named ? text.substring(0, colon) : "", text));
            }
        } else if (!message.path("due").isArray()) {
            problems.add(problem("due", "a list of systems is needed"));
        }
        if (!problems.isEmpty()) {
            throw new DeadLetters.Refused("the body can't be used", problems);
        }
    }

    private static Schema.Problem problem(String field, String message) {
        return new Schema.Problem(field.isEmpty() ? "" : '/' + field, field, message);
    }
}
