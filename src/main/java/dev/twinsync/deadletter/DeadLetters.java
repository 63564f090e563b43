package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.flow.Commits;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.metrics.SyncMetrics;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.MergeFlow;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Topics;
import java.nio.charset.StandardCharsets;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.apache.camel.component.kafka.KafkaConstants;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * The life of a dead letter: a step gives up; the letter goes to its topic's dead-letter topic and only when Kafka has
 * it may the original be committed; the flow {@code store-dead-letters} puts it into the table, where there is at most
 * one open letter for a record at a system. A later version that is refused takes its place, one that gets through
 * closes it. A retry is a fresh delivery of what is due then.
 */
@Component("deadLetters")
public class DeadLetters {

    private static final Logger LOG = LoggerFactory.getLogger(DeadLetters.class);
    private static final Logger EVENTS = LoggerFactory.getLogger("dev.twinsync.events");
    private static final String LETTER = "sync-letter";

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final Observations observations;
    private final Schemas schemas;
    private final SyncMetrics metrics;

    DeadLetters(
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            Observations observations,
            Schemas schemas,
            SyncMetrics metrics) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.observations = observations;
        this.schemas = schemas;
        this.metrics = metrics;
    }

    /** Sends letters to their topics; when it returns, Kafka has them all. */
    public void send(List<Letter> letters) {
        List<Message> messages = new ArrayList<>();
        for (Letter letter : letters) {
            Message message = observations.message(Topics.deadLetters(letter.topic()), letter.id(), letter.message());
            letter.headers().forEach(message::setHeader);
            message.setHeader("kafka_dlt-original-topic", letter.topic());
            message.setHeader("kafka_dlt-exception-fqcn", letter.errorClass());
            message.setHeader("kafka_dlt-exception-message", letter.text());
            message.setHeader("sync-failed-step", letter.route() + '/' + letter.step());
            message.setHeader("sync-attempts", String.valueOf(letter.attempts()));
            message.setHeader("sync-failure-group", letter.group());
            message.setHeader(LETTER, Json.text(letter.json()));
            messages.add(message);
        }
        observations.send(messages);
        letters.forEach(this::report);
    }

    private void report(Letter letter) {
        String error = letter.code() != null && letter.code().matches("[\\w.-]{1,16}")
                ? letter.code()
                : letter.errorClass().substring(letter.errorClass().lastIndexOf('.') + 1);
        boolean known = schemas.has(letter.entity());
        String system =
                known && schemas.of(letter.entity()).systems().contains(letter.system()) ? letter.system() : "other";
        metrics.deadLettered(known ? letter.entity() : "other", system, letter.route(), error);
        EVENTS.warn(
                "dead_letter entity={} id={} system={} slot={} version={} route={} error={} status={} trace={}",
                letter.entity(),
                // a key that could be no id is told without what would break the line
                letter.id().replaceAll("\\p{Cntrl}", "?"),
                letter.system(),
                letter.slot(),
                letter.version(),
                letter.route(),
                error,
                letter.status(),
                Observations.traceId(letter.headers().get("traceparent")));
    }

    /** The last resort of every flow: its message, or each message of its batch, becomes a letter. */
    public void keep(Exchange exchange) {
        Exception cause = exchange.getProperty(Exchange.EXCEPTION_CAUGHT, Exception.class);
        String route = exchange.getProperty(Exchange.FAILURE_ROUTE_ID, exchange.getFromRouteId(), String.class);
        Object body = exchange.getMessage().getBody();
        if (!(body instanceof List<?> batch) || batch.isEmpty() || !(batch.get(0) instanceof Exchange)) {
            // no message of a topic: a poll or a push has its own way of failing
            LOG.error("{} failed: {}", route, cause == null ? "no cause" : cause.toString());
            return;
        }
        List<Letter> letters = new ArrayList<>();
        for (Object record : batch) {
            letters.add(ofRecord((Exchange) record, route, cause));
        }
        send(letters);
    }

    /** The letter of a record of a topic that a flow could not work at all. */
    public Letter ofRecord(Exchange record, String route, Throwable cause) {
        Message message = record.getMessage();
        String topic = message.getHeader(KafkaConstants.TOPIC, String.class);
        String id = message.getHeader(KafkaConstants.KEY, String.class);
        Map<String, String> headers = headers(message);
        String at = topic
                + '/'
                + message.getHeader(KafkaConstants.PARTITION)
                + '/'
                + message.getHeader(KafkaConstants.OFFSET);
        Throwable root = cause == null ? new IllegalStateException("unknown") : cause;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        // a failure that no step understood: the log has where it arose
        LOG.error("{} could not work a record of {}", route, topic, root);
        return new Letter(
                UUID.nameUUIDFromBytes((route + '/' + at).getBytes(StandardCharsets.UTF_8))
                        .toString(),
                topic.substring(0, topic.indexOf('.') < 0 ? topic.length() : topic.indexOf('.')),
                id == null ? at : id,
                headers.getOrDefault("ce_source", "-"),
                "message",
                route,
                "-",
                null,
                root.getClass().getName(),
                null,
                null,
                root.getMessage(),
                1,
                Instant.now(),
                topic,
                message.getBody(byte[].class),
                headers,
                null,
                null);
    }

    /** The headers that travel, as text. */
    public static Map<String, String> headers(Message message) {
        Map<String, String> headers = new TreeMap<>();
        message.getHeaders().forEach((name, value) -> {
            boolean own = name.startsWith("kafka.") || name.startsWith("Camel") || name.equals(LETTER);
            if (!own && value instanceof byte[] bytes) {
                headers.put(name, new String(bytes, StandardCharsets.UTF_8));
            } else if (!own && value instanceof String text) {
                headers.put(name, text);
            }
        });
        return headers;
    }

    /** Stores a batch of letters; called by the flow {@code store-dead-letters}. */
    public void store(Exchange exchange) {
        for (Exchange record : Commits.batch(exchange)) {
            Object header = record.getMessage().getHeader(LETTER);
            if (header == null) {
                LOG.error("a record of a dead-letter topic is no letter and is passed over");
                continue;
            }
            String text =
                    header instanceof byte[] bytes ? new String(bytes, StandardCharsets.UTF_8) : header.toString();
            JsonNode letter = Json.read(text);
            byte[] message = record.getMessage().getBody(byte[].class);
            Map<String, String> headers = headers(record.getMessage());
            transaction.executeWithoutResult(status -> store(letter, message, headers));
        }
    }

    private void store(JsonNode letter, byte[] message, Map<String, String> headers) {
        String entity = letter.path("entity").asText();
        String id = letter.path("id").asText();
        String system = letter.path("system").asText();
        String slot = letter.path("slot").asText();
        Long version =
                letter.path("version").isNumber() ? letter.path("version").asLong() : null;
        Timestamp at = Timestamp.from(Instant.parse(letter.path("at").asText()));
        ObjectNode error = Json.MAPPER.createObjectNode();
        for (String name : List.of("class", "code", "status", "message")) {
            error.set(name, letter.get(name));
        }
        List<Map<String, Object>> open = jdbc.queryForList("""
                select id, version, first_failed_at, attempts, retries::text as retries, event_id from dead_letter
                where entity = ? and record_id = ? and system = ? and slot = ? and state in ('open', 'retrying') for update""", entity, id, system, slot);
        if (!open.isEmpty()
                && letter.path("event_id").asText().equals(open.get(0).get("event_id"))) {
            return;
        }
        Map<String, Object> former = open.isEmpty() ? null : open.get(0);
        boolean same = former != null && (version == null || version.equals(former.get("version")));
        if (same) {
            // failed again: the letter stays the same, with one attempt more
            jdbc.update(
                    """
                    update dead_letter set state = 'open', attempts = attempts + ?, last_failed_at = ?, error = ?::jsonb,
                      failure_group = ?, message = ?, headers = ?::jsonb, request = ?::jsonb, systems = ?::jsonb, event_id = ?
                    where id = ?""",
                    letter.path("attempts").asInt(1),
                    at,
                    Json.text(error),
                    headers.get("sync-failure-group"),
                    message,
                    Json.text(headers),
                    json(letter.get("request")),
                    json(letter.get("systems")),
                    letter.path("event_id").asText(),
                    former.get("id"));
            return;
        }
        if (former != null) {
            jdbc.update("update dead_letter set state = 'superseded' where id = ?", former.get("id"));
        }
        boolean passed = slot.isEmpty()
                && version != null
                && Boolean.TRUE.equals(jdbc.queryForObject("""
                        select exists (select from base where entity = ? and id = ? and system = ? and seen >= ?)""", Boolean.class, entity, id, system, version));
        List<Long> made = jdbc.queryForList(
                """
                insert into dead_letter (event_id, state, entity, record_id, system, slot, route, step, file, failure_group,
                  version, error, attempts, first_failed_at, last_failed_at, message, headers, request, systems)
                values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?, ?::jsonb, ?::jsonb, ?::jsonb)
                on conflict (event_id) do nothing returning id""",
                Long.class,
                letter.path("event_id").asText(),
                passed ? "superseded" : "open",
                entity,
                id,
                system,
                slot,
                letter.path("route").asText(),
                letter.path("step").asText(null),
                schemas.has(entity)
                        ? schemas.of(entity).plural() + '/'
                                + letter.path("route").asText() + ".camel.yaml"
                        : null,
                headers.getOrDefault("sync-failure-group", "-"),
                version,
                Json.text(error),
                letter.path("attempts").asInt(1),
                at,
                at,
                message,
                Json.text(headers),
                json(letter.get("request")),
                json(letter.get("systems")));
        if (former != null && !made.isEmpty()) {
            jdbc.update("update dead_letter set superseded_by = ? where id = ?", made.get(0), former.get("id"));
        }
        jdbc.update(
                "insert into history (entity, id, kind, system, version, note) values (?, ?, 'dead_letter', ?, ?, ?)",
                entity,
                id,
                system,
                version,
                slot.isEmpty() ? "the delivery was refused" : slot + " can't be used");
    }

    private static String json(JsonNode node) {
        return node == null || node.isNull() ? null : Json.text(node);
    }

    /** Deliveries got through: a letter being retried is resolved, one of an older version superseded. */
    public void closed(String entity, String system, Collection<String> ids) {
        if (ids.isEmpty()) {
            return;
        }
        jdbc.update(connection -> {
            var statement = connection.prepareStatement("""
                    update dead_letter set state = case when state = 'retrying' then 'resolved' else 'superseded' end
                    where entity = ? and system = ? and slot = '' and record_id = any (?) and state in ('open', 'retrying')""");
            statement.setString(1, entity);
            statement.setString(2, system);
            statement.setArray(3, connection.createArrayOf("text", ids.toArray()));
            return statement;
        });
    }

    /** Letters of fields that a reading could not use, and the end of those that are usable again. */
    public void fields(String entity, Observation o, List<Schema.Problem> problems, Set<String> before) {
        Set<String> now = new HashSet<>();
        List<Letter> letters = new ArrayList<>();
        for (Schema.Problem problem : problems) {
            if (now.add(problem.field()) && !before.contains(problem.field())) {
                letters.add(new Letter(
                        UUID.nameUUIDFromBytes((o.eventId() + '/' + problem.field()).getBytes(StandardCharsets.UTF_8))
                                .toString(),
                        entity,
                        o.id(),
                        o.system(),
                        problem.field(),
                        "merge-" + schemas.of(entity).plural(),
                        "normalise",
                        null,
                        "dev.twinsync.record.UnusableField",
                        null,
                        null,
                        problem.pointer() + ": " + problem.message(),
                        1,
                        Instant.now(),
                        Topics.observed(entity),
                        dev.twinsync.merge.ObservationJson.write(o),
                        Map.of(
                                "ce_id",
                                o.eventId(),
                                "ce_source",
                                o.system(),
                                "ce_subject",
                                o.id(),
                                "traceparent",
                                o.traceparent() == null ? "" : o.traceparent()),
                        null,
                        null));
            }
        }
        send(letters);
        Set<String> mended = new HashSet<>(before);
        mended.removeAll(now);
        for (String field : mended) {
            jdbc.update("""
                    update dead_letter set state = case when state = 'retrying' then 'resolved' else 'superseded' end
                    where entity = ? and record_id = ? and system = ? and slot = ? and state in ('open', 'retrying')""", entity, o.id(), o.system(), field);
        }
    }

    /** What a retry was asked to do could not be done as asked. */
    public static class Refused extends RuntimeException {
        private final List<Schema.Problem> problems;

        Refused(String message, List<Schema.Problem> problems) {
            super(message);
            this.problems = problems;
        }

        public List<Schema.Problem> problems() {
            return problems;
        }
    }

    /**
     * Retries a letter: a fresh delivery of what is due now, so that it can't overwrite anything newer.
     *
     * @param patch JSON merge patch on the record's fields, validated first, or null; it becomes the operator's edit
     * @return the operation's id; the same call twice is one retry
     */
    public String retry(long letter, String reason, ObjectNode patch, String who) {
        Map<String, Object> row = row(letter);
        String state = (String) row.get("state");
        String entity = (String) row.get("entity");
        String id = (String) row.get("record_id");
        String system = (String) row.get("system");
        if (state.equals("retrying") && patch == null) {
            return "retry-" + letter;
        }
        if (!state.equals("open") && !state.equals("retrying")) {
            throw new Refused("the letter is " + state + "; only an open one can be retried", List.of());
        }
        Schema schema = schemas.of(entity);
        if (patch != null) {
            Schema.Normalised normalised = schema.normalise(patch, false);
            if (!normalised.problems().isEmpty()) {
                throw new Refused("the body can't be used", normalised.problems());
            }
        }
        ObjectNode entry = Json.MAPPER.createObjectNode();
        entry.put("at", Instant.now().toString()).put("by", who).put("reason", reason);
        entry.set("fields", patch == null ? null : Json.MAPPER.valueToTree(fieldNames(patch)));
        int taken = jdbc.update(
                "update dead_letter set state = 'retrying', retries = retries || ?::jsonb where id = ? and state = ?",
                Json.text(entry),
                letter,
                state);
        if (taken == 0) {
            // another call was faster: looked at again, it is the same retry, or can't be one any more
            return retry(letter, reason, patch, who);
        }
        if (patch != null && !patch.isEmpty()) {
            observations.publish(List.of(Observations.push(
                    entity,
                    id,
                    Merge.OPERATOR,
                    patch,
                    null,
                    null,
                    UUID.randomUUID().toString())));
        }
        jdbc.update("update base set refused = null where entity = ? and id = ? and system = ?", entity, id, system);
        publishDue(entity, system, List.of(id));
        return "retry-" + letter;
    }

    private static List<String> fieldNames(ObjectNode patch) {
        List<String> names = new ArrayList<>();
        patch.fieldNames().forEachRemaining(names::add);
        return names;
    }

    /** Publishes again that records are due at a system. */
    public void publishDue(String entity, String system, Collection<String> ids) {
        List<Message> messages = new ArrayList<>();
        for (String id : ids) {
            messages.add(MergeFlow.changed(
                    observations,
                    entity,
                    id,
                    0,
                    List.of(system),
                    "twinsync",
                    dev.twinsync.merge.Times.text(Instant.now()),
                    Observations.trace()));
        }
        observations.send(messages);
    }

    /** Hides an open letter; it can be brought back until retention ends. */
    public void discard(long letter, String reason) {
        int done = jdbc.update(
                "update dead_letter set state = 'discarded', reason = ? where id = ? and state in ('open', 'retrying')",
                reason,
                letter);
        if (done == 0) {
            throw new Refused(
                    "the letter is " + row(letter).get("state") + "; only an open one can be discarded", List.of());
        }
    }

    /** Brings a discarded letter back. */
    public void restore(long letter) {
        try {
            int done =
                    jdbc.update("update dead_letter set state = 'open' where id = ? and state = 'discarded'", letter);
            if (done == 0) {
                throw new Refused(
                        "the letter is " + row(letter).get("state") + "; only a discarded one can be restored",
                        List.of());
            }
        } catch (org.springframework.dao.DuplicateKeyException e) {
            throw new Refused("a newer letter of this record at this system is open", List.of());
        }
    }

    /** @throws java.util.NoSuchElementException where there is no such letter */
    public Map<String, Object> row(long letter) {
        List<Map<String, Object>> rows = jdbc.queryForList("""
                select id, state, superseded_by, entity, record_id, system, slot, route, step, file, failure_group, version,
                  error::text as error, attempts, first_failed_at, last_failed_at, message, headers::text as headers,
                  request::text as request, systems::text as systems, retries::text as retries, reason
                from dead_letter where id = ?""", letter);
        if (rows.isEmpty()) {
            throw new java.util.NoSuchElementException("no dead letter " + letter);
        }
        return rows.get(0);
    }

    /** Letters newest first; a filter that is null does not filter. */
    public List<Map<String, Object>> list(Map<String, String> filter, long after, int limit) {
        StringBuilder sql = new StringBuilder("""
                select id, state, superseded_by, entity, record_id, system, slot, route, step, failure_group, version,
                  error::text as error, attempts, first_failed_at, last_failed_at
                from dead_letter where id < ?""");
        List<Object> arguments = new ArrayList<>(List.of(after));
        Map<String, String> columns = new HashMap<>(Map.of(
                "state", "state = ?",
                "entity", "entity = ?",
                "system", "system = ?",
                "route", "route = ?",
                "group", "failure_group = ?",
                "key", "record_id = ?",
                "q", "strpos(record_id || ' ' || coalesce(error ->> 'message', ''), ?) > 0",
                "from", "last_failed_at >= cast(? as timestamptz)",
                "to", "last_failed_at < cast(? as timestamptz)"));
        columns.forEach((name, condition) -> {
            if (filter.get(name) != null) {
                sql.append(" and ").append(condition);
                arguments.add(filter.get(name));
            }
        });
        sql.append(" order by id desc limit ?");
        arguments.add(limit);
        return jdbc.queryForList(sql.toString(), arguments.toArray());
    }

    /** Open letters by cause. */
    public List<Map<String, Object>> groups() {
        return jdbc.queryForList("""
                select failure_group, min(route) as route, min(step) as step, (array_agg(error::text order by id desc))[1] as error,
                  count(*) as count, count(distinct record_id) as records, min(first_failed_at) as first_seen,
                  max(last_failed_at) as last_seen
                from dead_letter where state in ('open', 'retrying')
                group by failure_group order by count(*) desc, failure_group""");
    }
}
