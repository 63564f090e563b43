package dev.twinsync.deadletter;

import dev.twinsync.flow.Commits;
import dev.twinsync.flow.Retried;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.ObservationJson;
import dev.twinsync.metrics.SyncMetrics;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.record.Times;
import dev.twinsync.state.MergeFlow;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Topics;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
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
import org.springframework.stereotype.Component;

/**
 * The life of a dead letter: a step gives up; the letter goes to its topic's dead-letter topic and only when Kafka has
 * it may the original be committed; the flow {@code store-dead-letters} puts it into the table, where there is at most
 * one open letter for a record at a system. A later version that is refused takes its place, one that gets through
 * closes it. A retry is a fresh delivery of what is due then.
 */
@Component("deadLetters")
public class DeadLetters implements Retried {

    private static final Set<String> NUMBERS =
            Set.of("kafka_dlt-original-partition", "kafka_dlt-original-offset", "kafka_dlt-original-timestamp");

    private static final Logger LOG = LoggerFactory.getLogger(DeadLetters.class);
    private static final Logger EVENTS = LoggerFactory.getLogger("dev.twinsync.events");
    static final String LETTER = "sync-letter";
    /** Header that names the topic of the original. */
    public static final String ORIGINAL = "kafka_dlt-original-topic";

    static final String STACK = "kafka_dlt-exception-stacktrace";
    private static final int MOST_STACK = 8000; // characters: where it arose is told by the first frames

    private final LetterStore store;
    private final Observations observations;
    private final Schemas schemas;
    private final SyncMetrics metrics;

    DeadLetters(LetterStore store, Observations observations, Schemas schemas, SyncMetrics metrics) {
        this.store = store;
        this.observations = observations;
        this.schemas = schemas;
        this.metrics = metrics;
    }

    /** Sends letters to their topics; when it returns, Kafka has them all. */
    public void send(List<Letter> letters) {
        List<Message> messages = new ArrayList<>();
        for (Letter letter : letters) {
            Message message = observations.message(Topics.deadLetters(letter.topic()), letter.id(), letter.message());
            message.setHeader(ORIGINAL, letter.topic());
            letter.headers().forEach(message::setHeader);
            message.setHeader("kafka_dlt-exception-fqcn", letter.errorClass());
            message.setHeader("kafka_dlt-exception-message", letter.text());
            message.setHeader("sync-failed-step", letter.route() + '/' + letter.step());
            message.setHeader("sync-attempts", String.valueOf(letter.attempts()));
            message.setHeader("sync-failure-group", letter.group());
            message.setHeader(LETTER, Json.text(letter.json()));
            messages.add(message);
        }
        observations.send(messages);
        letters.forEach(DeadLetters::report);
    }

    private static void report(Letter letter) {
        EVENTS.warn(
                "dead_letter entity={} id={} system={} slot={} version={} route={} error={} status={} trace={}",
                letter.entity(),
                // a key that could be no id is told without what would break the line
                letter.id().replaceAll("\\p{Cntrl}", "?"),
                letter.system(),
                letter.slot(),
                letter.version(),
                letter.route(),
                error(letter.code(), letter.errorClass()),
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
        String at = place(message);
        Throwable root = cause == null ? new IllegalStateException("unknown") : cause;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        // a failure that no step understood: the log has where it arose
        LOG.error("{} could not work a record of {}", route, topic, root);
        Map<String, String> headers = origin(message, root);
        // sent again by an operator, it is the same letter that has failed again
        String retryOf = message.getHeader(HEADER, String.class);
        headers.remove(HEADER);
        message.removeHeader(HEADER);
        if (retryOf != null) {
            headers.put(LetterStore.FAILED_AGAIN, retryOf);
        }
        return new Letter(
                UUID.nameUUIDFromBytes((route + '/' + at).getBytes(StandardCharsets.UTF_8))
                        .toString(),
                entity(topic),
                id == null ? at : id,
                headers.getOrDefault("ce_source", "-"),
                Letter.messageSlot(at),
                route,
                "-",
                null,
                root.getClass().getName(),
                null,
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

    static String entity(String topic) {
        return topic.substring(0, topic.indexOf('.') < 0 ? topic.length() : topic.indexOf('.'));
    }

    static String place(Message message) {
        return message.getHeader(KafkaConstants.TOPIC, String.class)
                + '/'
                + message.getHeader(KafkaConstants.PARTITION)
                + '/'
                + message.getHeader(KafkaConstants.OFFSET);
    }

    /** The headers that travel, as text. */
    public static Map<String, String> headers(Message message) {
        Map<String, String> headers = new TreeMap<>();
        message.getHeaders().forEach((name, value) -> {
            boolean own = name.startsWith("kafka.") || name.startsWith("Camel") || name.equals(LETTER);
            if (!own && value instanceof byte[] bytes) {
                headers.put(name, text(name, bytes));
            } else if (!own && value instanceof String text) {
                headers.put(name, text);
            }
        });
        return headers;
    }

    /** Some writers of dead-letter headers give numbers in binary. */
    private static String text(String name, byte[] bytes) {
        boolean number = NUMBERS.contains(name);
        if (number && bytes.length == Integer.BYTES && !new String(bytes, StandardCharsets.US_ASCII).matches("\\d+")) {
            return String.valueOf(ByteBuffer.wrap(bytes).getInt());
        }
        if (number && bytes.length == Long.BYTES && !new String(bytes, StandardCharsets.US_ASCII).matches("\\d+")) {
            return String.valueOf(ByteBuffer.wrap(bytes).getLong());
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** The headers that a letter keeps of its original: what travels, where it stood, and where the cause arose. */
    public static Map<String, String> origin(Message message, Throwable cause) {
        Map<String, String> headers = headers(message);
        headers.keySet().removeIf(name -> name.startsWith("kafka_dlt-"));
        Map.of(
                        KafkaConstants.PARTITION,
                        "kafka_dlt-original-partition",
                        KafkaConstants.OFFSET,
                        "kafka_dlt-original-offset",
                        KafkaConstants.TIMESTAMP,
                        "kafka_dlt-original-timestamp")
                .forEach((from, to) -> {
                    if (message.getHeader(from) != null) {
                        headers.put(to, String.valueOf(message.getHeader(from)));
                    }
                });
        if (cause != null) {
            StringWriter stack = new StringWriter();
            cause.printStackTrace(new PrintWriter(stack));
            String text = stack.toString();
            headers.put(STACK, text.length() <= MOST_STACK ? text : text.substring(0, MOST_STACK) + "\n\t…");
        }
        return headers;
    }

    /** Stores a batch of letters; called by the flow {@code store-dead-letters}. */
    public void store(Exchange exchange) {
        store.store(Commits.batch(exchange).stream()
                        .map(Exchange::getMessage)
                        .map(this::arrived)
                        .toList())
                .forEach(this::count);
    }

    private void count(LetterStore.Arrived letter) {
        boolean known = schemas.has(letter.key().entity());
        boolean here = known
                && schemas.of(letter.key().entity())
                        .systems()
                        .contains(letter.key().system());
        metrics.deadLettered(
                known ? letter.key().entity() : "other",
                here ? letter.key().system() : "other",
                known ? letter.route() : "other",
                known
                        ? error(
                                letter.error().path("code").asText(null),
                                letter.error().path("class").asText("-"))
                        : "other");
    }

    /** A code or the name of a class: text that may name a record is no label. */
    private static String error(String code, String errorClass) {
        return code != null && code.matches("[\\w.-]{1,16}")
                ? code
                : errorClass.substring(errorClass.lastIndexOf('.') + 1);
    }

    private LetterStore.Arrived arrived(Message message) {
        // stored, it is not what was sent again
        message.removeHeader(HEADER);
        Map<String, String> headers = headers(message);
        byte[] body = message.getBody(byte[].class);
        Object header = message.getHeader(LETTER);
        if (header != null) {
            try {
                String text =
                        header instanceof byte[] bytes ? new String(bytes, StandardCharsets.UTF_8) : header.toString();
                return LetterStore.Arrived.of(Json.read(text), body, headers);
            } catch (IllegalArgumentException | java.time.DateTimeException e) {
                LOG.error("the letter at {} can't be read and is kept as one of unknown kind", place(message), e);
            }
        }
        return unknown(message, body, headers);
    }

    /** A record of a dead-letter topic that this service did not write, or can't read any more: kept all the same. */
    private static LetterStore.Arrived unknown(Message message, byte[] body, Map<String, String> headers) {
        String at = place(message);
        String topic = message.getHeader(KafkaConstants.TOPIC, String.class);
        String original = first(headers, ORIGINAL, "x-original-topic", "__connect.errors.topic");
        if (original == null) {
            original =
                    topic.substring(0, topic.length() - Topics.deadLetters("").length());
        }
        headers.put(ORIGINAL, original);
        String key = message.getHeader(KafkaConstants.KEY, String.class);
        String error = first(
                headers,
                "kafka_dlt-exception-cause-fqcn",
                "kafka_dlt-exception-fqcn",
                "x-exception-fqcn",
                "__connect.errors.exception.class.name");
        String text = first(
                headers, "kafka_dlt-exception-message", "x-exception-message", "__connect.errors.exception.message");
        String route = first(headers, "kafka_dlt-original-consumer-group", "__connect.errors.connector.name");
        return LetterStore.Arrived.of(
                new Letter(
                                UUID.nameUUIDFromBytes(at.getBytes(StandardCharsets.UTF_8))
                                        .toString(),
                                entity(original),
                                key == null ? at : key,
                                headers.getOrDefault("ce_source", "-"),
                                Letter.unknownSlot(at),
                                route == null ? "-" : route,
                                "-",
                                null,
                                error == null ? "dev.twinsync.deadletter.UnknownLetter" : error,
                                null,
                                null,
                                null,
                                text == null ? "another service's record on " + topic : text,
                                1,
                                Instant.now(),
                                original,
                                body,
                                headers,
                                null,
                                null)
                        .json(),
                body,
                headers);
    }

    private static String first(Map<String, String> headers, String... names) {
        for (String name : names) {
            if (headers.get(name) != null) {
                return headers.get(name);
            }
        }
        return null;
    }

    /** Deliveries got through: a letter being retried is resolved, one of an older version superseded. */
    public void closed(String entity, String system, Collection<String> ids) {
        store.closed(entity, system, ids);
    }

    @Override
    public void worked(Collection<Long> letters) {
        store.worked(letters);
    }

    /** Letters of fields that a reading could not use, and the end of those that are usable again. */
    public void fields(String entity, Observation o, List<Schema.Problem> problems, Set<String> before) {
        Set<String> now = new HashSet<>();
        List<Letter> letters = new ArrayList<>();
        Set<String> retried =
                before.isEmpty() || problems.isEmpty() ? Set.of() : store.retried(entity, o.id(), o.system(), before);
        for (Schema.Problem problem : problems) {
            boolean known = before.contains(problem.field()) && !retried.contains(problem.field());
            if (now.add(problem.field()) && !known) {
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
                        problem.field(),
                        problem.pointer() + ": " + problem.message(),
                        1,
                        Instant.now(),
                        Topics.observed(entity),
                        ObservationJson.write(o),
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
        store.mended(entity, o.id(), o.system(), mended);
    }

    /** What was asked of a letter could not be done as asked. */
    public static class Refused extends RuntimeException {
        private final List<Schema.Problem> problems;

        Refused(String message) {
            this(message, List.of());
        }

        Refused(String message, List<Schema.Problem> problems) {
            super(message);
            this.problems = problems;
        }

        public List<Schema.Problem> problems() {
            return problems;
        }
    }

    /** Publishes again that records are due at a system. */
    public void publishDue(String entity, String system, Collection<String> ids) {
        List<Message> messages = new ArrayList<>();
        for (String id : ids) {
            messages.add(due(entity, system, id));
        }
        observations.send(messages);
    }

    Message due(String entity, String system, String id) {
        return MergeFlow.changed(
                observations,
                entity,
                id,
                0,
                List.of(system),
                "twinsync",
                Times.text(Instant.now()),
                Observations.trace());
    }
}
