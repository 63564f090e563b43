package dev.twinsync.delivery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.deadletter.Letter;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.flow.Commits;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.flow.Outages;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Writes;
import dev.twinsync.metrics.SyncMetrics;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.record.Times;
import dev.twinsync.state.Records;
import dev.twinsync.state.Records.BaseChange;
import dev.twinsync.state.Records.Change;
import dev.twinsync.state.Records.Snapshot;
import dev.twinsync.state.Topics;
import dev.twinsync.state.UnderWay;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.component.kafka.KafkaConstants;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * Brings a system to the golden record, set by set: read golden records and bases, store the intent, write, store what
 * the system holds then. A base in doubt is read for, never written over. A crash between any two steps loses nothing:
 * what is due stays due, and what was sent is known by its intent.
 */
@Component("delivery")
public class Delivery {

    private static final Logger LOG = LoggerFactory.getLogger(Delivery.class);
    private static final int SWEPT = 1000;
    private static final Logger EVENTS = LoggerFactory.getLogger("dev.twinsync.events");

    private final Schemas schemas;
    private final Records records;
    private final Capture capture;
    private final Outages outages;
    private final UnderWay underWay;
    private final DeadLetters deadLetters;
    private final SyncMetrics metrics;
    private final CamelContext camel;
    private final ApiTarget api;
    private final TableTarget table;
    private final FailurePolicy policy;
    private final Duration sweepAfter;
    private final int parallel;

    /** A pool per system: one that is slow delays no other. */
    private final Map<String, ExecutorService> calls = new ConcurrentHashMap<>();

    private final LoneFailures alone;
    private final ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor(run -> {
        Thread thread = new Thread(run, "deliver-later");
        thread.setDaemon(true);
        return thread;
    });
    private final Map<String, Instant> busy = new ConcurrentHashMap<>();
    private final Map<String, Records.DueKey> swept = new ConcurrentHashMap<>();

    private final long firstKey;

    Delivery(
            Schemas schemas,
            Records records,
            Capture capture,
            Outages outages,
            UnderWay underWay,
            DeadLetters deadLetters,
            SyncMetrics metrics,
            CamelContext camel,
            ApiTarget api,
            TableTarget table,
            @org.springframework.context.annotation.Lazy FailurePolicy policy,
            @Value("${twinsync.delivery.sweep-after}") Duration sweepAfter,
            @Value("${twinsync.mini.parallel}") int parallel,
            @Value("${twinsync.delivery.first-key}") long firstKey) {
        this.firstKey = firstKey;
        this.schemas = schemas;
        this.records = records;
        this.capture = capture;
        this.outages = outages;
        this.underWay = underWay;
        this.deadLetters = deadLetters;
        this.metrics = metrics;
        this.camel = camel;
        this.api = api;
        this.table = table;
        this.policy = policy;
        this.sweepAfter = sweepAfter;
        this.parallel = parallel;
        this.alone = new LoneFailures(policy);
    }

    /** What a message of {@code <entity>.changed} says. */
    private record Told(Exchange record, Instant time, String traceparent) {}

    /** Delivers the records of a batch to a system; called by the flows {@code deliver-*}. */
    public void deliver(String system, String entity, Exchange exchange) {
        outages.work("deliver-" + system + '-', exchange, () -> batch(system, schemas.of(entity), exchange));
    }

    private void batch(String system, Schema schema, Exchange exchange) {
        Map<String, Told> told = told(system, exchange);
        busy.put(system + '/' + schema.entity(), Instant.now());
        Target target = camel.getRoute("lock-" + system + '-' + schema.plural()) != null ? table : api;
        List<String> ids = List.copyOf(told.keySet());
        ExecutorService pool = calls.computeIfAbsent(
                system,
                name -> Executors.newFixedThreadPool(parallel, run -> {
                    Thread thread = new Thread(run, "deliver-" + name);
                    thread.setDaemon(true);
                    return thread;
                }));
        List<Future<?>> sets = new ArrayList<>();
        for (int i = 0; i < ids.size(); i += target.setSize()) {
            List<String> set = ids.subList(i, Math.min(ids.size(), i + target.setSize()));
            sets.add(pool.submit(() -> halving(system, schema, target, set, told)));
        }
        RuntimeException failed = null;
        for (Future<?> set : sets) {
            try {
                set.get();
            } catch (ExecutionException e) {
                failed = new IllegalStateException(e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
        }
        if (failed != null) {
            throw failed;
        }
    }

    /** A set that fails for good is halved until the record that makes it fail stands alone. */
    private void halving(String system, Schema schema, Target target, List<String> ids, Map<String, Told> told) {
        try {
            set(system, schema, target, ids, told);
        } catch (RuntimeException e) {
            if (policy.passes(e)) {
                throw e;
            }
            if (ids.size() > 1) {
                halving(system, schema, target, ids.subList(0, ids.size() / 2), told);
                halving(system, schema, target, ids.subList(ids.size() / 2, ids.size()), told);
            } else {
                refused(system, schema, ids.get(0), e, told);
            }
        }
    }

    /** One record that can't be delivered, whatever the step that failed. */
    private void refused(String system, Schema schema, String id, RuntimeException cause, Map<String, Told> told) {
        Snapshot snapshot = records.load(schema.entity(), List.of(id)).get(id);
        Golden golden = snapshot.golden();
        Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
        Records.Delivery delivery = snapshot.delivery().get(system);
        Set<String> due = Due.paths(schema, golden, base);
        Map<String, JsonNode> values = new HashMap<>();
        due.forEach(path -> values.put(path, golden.value(path)));
        int number = used(delivery);
        Target.Item item = new Target.Item(
                id, base, values, data(schema, golden, base, due), key(schema, golden, number), golden.version());
        keep(system, schema, List.of(letter(system, schema, item, golden, cause, told.get(id), snapshot)));
        records.save(
                schema.entity(),
                List.of(change(
                        golden,
                        base,
                        true,
                        List.of(),
                        golden.version(),
                        number,
                        event("refused", system, golden, item, message(cause)))));
    }

    private static Map<String, Told> told(String system, Exchange exchange) {
        Map<String, Told> told = new LinkedHashMap<>();
        for (Exchange record : Commits.batch(exchange)) {
            String id = record.getMessage().getHeader(KafkaConstants.KEY, String.class);
            byte[] body = record.getMessage().getBody(byte[].class);
            JsonNode due;
            try {
                due = Json.read(body == null ? new byte[0] : body).path("due");
            } catch (IllegalArgumentException e) {
                // the message is but a hint; the state says what is due
                due = Json.MAPPER.createArrayNode().add(system);
            }
            for (JsonNode name : due) {
                if (id != null && name.asText().equals(system)) {
                    Map<String, String> headers = DeadLetters.headers(record.getMessage());
                    Told first = told.get(id);
                    told.put(
                            id,
                            new Told(
                                    record,
                                    first != null ? first.time() : time(headers.get("ce_time")),
                                    headers.get("traceparent")));
                }
            }
        }
        return told;
    }

    /** The time is for figures only: one that can't be read holds up nothing. */
    private static Instant time(String text) {
        try {
            return text == null ? null : Times.read(text);
        } catch (DateTimeParseException e) {
            return null;
        }
    }

    private void set(String system, Schema schema, Target target, List<String> ids, Map<String, Told> told) {
        Map<String, Snapshot> snapshots = records.load(schema.entity(), ids, system);
        List<Target.Item> items = new ArrayList<>();
        List<Change> intents = new ArrayList<>();
        List<Change> waiting = new ArrayList<>();
        List<String> doubtful = new ArrayList<>();
        List<String> settled = new ArrayList<>();
        List<String> unanswered = new ArrayList<>();
        Map<String, Integer> keys = new HashMap<>();
        Set<String> sentBefore = new HashSet<>();
        for (String id : ids) {
            Snapshot snapshot = snapshots.get(id);
            Golden golden = snapshot.golden();
            Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
            Records.Delivery delivery = snapshot.delivery().get(system);
            if (base.doubt()) {
                doubtful.add(id);
                continue;
            }
            Set<String> due = Due.paths(schema, golden, base);
            if (due.isEmpty()) {
                settled.add(id);
                if (!base.intents().isEmpty()) {
                    // nothing is owed to what it is known to hold; but it may have taken what it never answered
                    unanswered.add(id);
                }
                if (delivery != null && delivery.dueSince() != null) {
                    waiting.add(change(golden, base, false, List.of(), null, used(delivery), null));
                }
                continue;
            }
            if (delivery != null && delivery.refused() != null && delivery.refused() == golden.version()) {
                continue;
            }
            List<String> missing = Due.waitingFor(schema, golden, base);
            if (!missing.isEmpty()) {
                if (delivery == null || !delivery.waitingFor().equals(missing)) {
                    waiting.add(change(golden, base, true, missing, null, used(delivery), null));
                }
                continue;
            }
            Map<String, JsonNode> values = new HashMap<>();
            due.forEach(path -> values.put(path, golden.value(path)));
            int number = keyNumber(base, delivery, values);
            keys.put(id, number);
            if (number == used(delivery)) {
                sentBefore.add(id);
            }
            Base intended = Writes.intended(base, values);
            intents.add(change(golden, intended, true, delivery, List.of(), null, number, null));
            items.add(new Target.Item(
                    id,
                    intended,
                    values,
                    data(schema, golden, base, due),
                    key(schema, golden, number),
                    golden.version()));
        }
        if (!waiting.isEmpty()) {
            records.save(schema.entity(), waiting);
        }
        if (!doubtful.isEmpty()) {
            metrics.delivery("doubted_at_delivery", schema.entity(), system, doubtful.size());
            capture.readNow(system, schema.entity(), doubtful);
        }
        if (!unanswered.isEmpty()) {
            capture.readNow(system, schema.entity(), unanswered);
        }
        deadLetters.closed(schema.entity(), system, settled);
        Set<String> lost = new HashSet<>(intents.isEmpty() ? List.of() : records.save(schema.entity(), intents));
        List<Target.Item> open = items.stream()
                .filter(item -> !lost.contains(item.id()))
                // the intent took a revision
                .map(item -> new Target.Item(
                        item.id(),
                        item.base().at(item.base().revision() + 1),
                        item.values(),
                        item.data(),
                        item.key(),
                        item.version()))
                .toList();
        if (!open.isEmpty()) {
            List<String> written = open.stream().map(Target.Item::id).toList();
            underWay.during(system, schema.entity(), written, () -> {
                Long[] since = {null};
                List<Target.Result> results = policy.patiently(() -> {
                    Long before = since[0];
                    if (before == null) {
                        since[0] = records.tick();
                    }
                    return target.write(system, schema, open, before);
                });
                settle(system, schema, snapshots, open, results, keys, told, target == api ? sentBefore : Set.of());
            });
        }
        if (!lost.isEmpty()) {
            // merged in between: what is due now is due again
            set(system, schema, target, List.copyOf(lost), told);
        }
    }

    /** How many keys the golden version has used: none is used for another write, whatever has become of the first. */
    private static int used(Records.Delivery delivery) {
        return delivery == null ? 0 : delivery.keyNumber();
    }

    /** The same body and guard go out under the same key; anything else of that version takes the next. */
    private static int keyNumber(Base base, Records.Delivery delivery, Map<String, JsonNode> values) {
        int used = used(delivery);
        boolean same = used > 0
                && Objects.equals(delivery.keyGuard(), base.position())
                && base.intents().keySet().equals(values.keySet());
        for (Map.Entry<String, JsonNode> value : values.entrySet()) {
            List<JsonNode> sent = base.intents().getOrDefault(value.getKey(), List.of());
            same &= sent.size() == 1 && Due.same(sent.get(0), value.getValue());
        }
        return same ? used : used + 1;
    }

    private String key(Schema schema, Golden golden, int used) {
        long number = firstKey + used - 1;
        String id = URLEncoder.encode(golden.id(), StandardCharsets.UTF_8).replace("+", "%20");
        return schema.entity() + '/' + id + '/' + golden.version() + (number > 1 ? "." + number : "");
    }

    /**
     * The whole fields to set, in one order, since a backend may tell by a body's text whether it is that of its key; a
     * deletion is a deletion alone.
     */
    static ObjectNode data(Schema schema, Golden golden, Base base, Set<String> due) {
        Map<String, JsonNode> values = golden.values();
        ObjectNode data = Json.MAPPER.createObjectNode();
        Set<String> names = new TreeSet<>();
        due.forEach(path -> names.add(schema.field(path).name()));
        if (!base.exists() && !golden.deleted()) {
            schema.fields().stream()
                    .filter(field -> field.systems().contains(base.system()) && field.byKey())
                    .forEach(field -> names.add(field.name()));
        }
        names.forEach(name -> data.set(name, schema.value(name, values)));
        return data;
    }

    /**
     * Stores what became of each record.
     *
     * @param sentBefore records whose answer may be one that an earlier delivery never got: it tells what was so then, and
     *     what the system has changed since may have been read in between, and be passed over as older than the answer
     */
    private void settle(
            String system,
            Schema schema,
            Map<String, Snapshot> snapshots,
            List<Target.Item> items,
            List<Target.Result> answers,
            Map<String, Integer> keys,
            Map<String, Told> told,
            Set<String> sentBefore) {
        List<Change> changes = new ArrayList<>();
        List<Letter> letters = new ArrayList<>();
        List<String> written = new ArrayList<>();
        List<String> doubtful = new ArrayList<>();
        Set<String> toRead = new LinkedHashSet<>();
        long tick = records.tick();
        List<Target.Result> results = alone.judged(system + '/' + schema.entity(), items, answers);
        List<String> again = new ArrayList<>();
        List<String> toTell = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            if (results.get(i) instanceof Target.Result.Refused) {
                toTell.add(items.get(i).id());
            }
        }
        // a letter tells what every system holds
        Map<String, Snapshot> whole = toTell.isEmpty() ? Map.of() : records.load(schema.entity(), toTell);
        for (int i = 0; i < items.size(); i++) {
            Target.Item item = items.get(i);
            Golden golden = snapshots.get(item.id()).golden();
            int number = keys.get(item.id());
            Target.Result result = results.get(i);
            if (result instanceof Target.Result.Failed) {
                // only this record waits: it stays due, and is told of again
                again.add(item.id());
            } else if (result instanceof Target.Result.Written done) {
                Base base = done.base().at(item.base().revision());
                if (sentBefore.contains(item.id())) {
                    base = base.doubted(tick);
                    toRead.add(item.id());
                    doubtful.add(item.id());
                }
                written.add(item.id());
                changes.add(change(
                        golden,
                        base,
                        Due.is(schema, golden, base),
                        List.of(),
                        null,
                        number,
                        event("delivered", system, golden, item, null)));
            } else if (result instanceof Target.Result.Differs differs) {
                doubtful.add(item.id());
                if (!differs.read()) {
                    toRead.add(item.id());
                    changes.add(change(golden, item.base().doubted(tick), true, List.of(), null, number, null));
                }
            } else if (result instanceof Target.Result.Refused refused) {
                String onItsWay = onItsWay(schema, system, golden, refused.cause());
                if (onItsWay != null) {
                    changes.add(change(golden, item.base(), true, List.of(onItsWay), null, number, null));
                    continue;
                }
                letters.add(letter(
                        system, schema, item, golden, refused.cause(), told.get(item.id()), whole.get(item.id())));
                changes.add(change(
                        golden,
                        item.base(),
                        true,
                        List.of(),
                        golden.version(),
                        number,
                        event("refused", system, golden, item, message(refused.cause()))));
            }
        }
        keep(system, schema, letters);
        Set<String> lost = new HashSet<>(changes.isEmpty() ? List.of() : records.save(schema.entity(), changes));
        if (!lost.isEmpty()) {
            doubt(system, schema, lost);
        }
        written.removeAll(lost);
        deadLetters.closed(schema.entity(), system, written);
        report(system, schema, items, written, told);
        metrics.delivery("delivered", schema.entity(), system, written.size());
        metrics.delivery("doubted_at_delivery", schema.entity(), system, doubtful.size());
        toRead.addAll(lost);
        if (!toRead.isEmpty()) {
            capture.readNow(system, schema.entity(), toRead);
        }
        again.forEach(id -> later.schedule(
                () -> publish(schema, system, List.of(id)),
                alone.pause(system + '/' + schema.entity(), id).toMillis(),
                TimeUnit.MILLISECONDS));
        List<Records.Waiting> freed = written.isEmpty() ? List.of() : records.waitingFor(system, schema.key(), written);
        freed.stream()
                .collect(Collectors.groupingBy(
                        Records.Waiting::entity, Collectors.mapping(Records.Waiting::id, Collectors.toList())))
                .forEach((entity, ids) -> publish(schemas.of(entity), system, ids));
    }

    private void publish(Schema schema, String system, List<String> ids) {
        try {
            deadLetters.publishDue(schema.entity(), system, ids);
        } catch (RuntimeException e) {
            // it is due all the same: the sweep will tell of it
            LOG.warn("{} {} could not be told of again: {}", ids.size(), schema.plural(), e.toString());
        }
    }

    private void keep(String system, Schema schema, List<Letter> letters) {
        deadLetters.send(letters);
        metrics.delivery("refused", schema.entity(), system, letters.size());
    }

    /** Whoever loses the race for a base puts it in doubt: what it wrote is settled by reading. */
    private void doubt(String system, Schema schema, Collection<String> ids) {
        Collection<String> open = ids;
        while (!open.isEmpty()) {
            long tick = records.tick();
            List<Change> doubts = new ArrayList<>();
            records.load(schema.entity(), open).forEach((id, snapshot) -> {
                Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
                Records.Delivery delivery = snapshot.delivery().get(system);
                doubts.add(change(
                        snapshot.golden(),
                        base.doubted(tick),
                        true,
                        List.of(),
                        delivery == null ? null : delivery.refused(),
                        used(delivery),
                        null));
            });
            open = records.save(schema.entity(), doubts);
        }
    }

    /** The field of a refusal that names a record which is itself still on its way to this system, or null. */
    private String onItsWay(Schema schema, String system, Golden golden, Throwable cause) {
        String field = cause instanceof CallFailed call ? call.field() : null;
        if (field == null || golden.value(field) == null) {
            return null;
        }
        for (Schema other : schemas.all()) {
            if (other != schema && other.key().equals(field)) {
                String id = golden.value(field).asText();
                Snapshot snapshot = records.load(other.entity(), List.of(id)).get(id);
                Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
                return base.exists() && !base.doubt() ? null : field;
            }
        }
        return null;
    }

    private static Change change(
            Golden golden,
            Base base,
            boolean due,
            List<String> waitingFor,
            Long refused,
            int keyNumber,
            Records.Event event) {
        return change(golden, base, due, null, waitingFor, refused, keyNumber, event);
    }

    private static Change change(
            Golden golden,
            Base base,
            boolean due,
            Records.Delivery former,
            List<String> waitingFor,
            Long refused,
            int keyNumber,
            Records.Event event) {
        return new Change(
                golden.id(),
                null,
                golden.version(),
                List.of(new BaseChange(base, due, former, waitingFor, refused, keyNumber, null, null)),
                List.of(),
                event == null ? List.of() : List.of(event));
    }

    private static Records.Event event(String kind, String system, Golden golden, Target.Item item, String note) {
        ObjectNode fields = Json.MAPPER.createObjectNode();
        item.values().forEach((path, value) -> {
            ObjectNode move = fields.putObject(path);
            move.set("from", item.base().held().get(path));
            move.set("to", value);
        });
        return new Records.Event(kind, system, golden.version(), fields, null, null, note);
    }

    private static String message(Throwable cause) {
        Throwable root = cause;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        return root.getMessage();
    }

    private static Letter letter(
            String system,
            Schema schema,
            Target.Item item,
            Golden golden,
            Throwable cause,
            Told told,
            Snapshot snapshot) {
        Throwable root = cause;
        while (!(root instanceof CallFailed) && root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        CallFailed call = root instanceof CallFailed failed ? failed : null;
        ObjectNode request = Json.MAPPER.createObjectNode();
        request.put(schema.key(), item.id());
        request.set("data", item.data());
        request.put("idempotency_key", item.key());
        request.put("if_match", item.base().position());
        ObjectNode systems = Json.MAPPER.createObjectNode();
        snapshot.bases().forEach((name, base) -> systems.set(name, schema.assemble(base.held())));
        return new Letter(
                UUID.randomUUID().toString(),
                schema.entity(),
                item.id(),
                system,
                "",
                "deliver-" + system + '-' + schema.plural(),
                "deliver",
                golden.version(),
                root.getClass().getName(),
                call == null ? null : call.code(),
                call == null ? null : call.status(),
                call == null ? null : call.field(),
                root.getMessage(),
                1,
                Instant.now(),
                Topics.changed(schema.entity()),
                told.record().getMessage().getBody(byte[].class),
                DeadLetters.origin(told.record().getMessage(), call == null ? root : null),
                request,
                systems);
    }

    private void report(
            String system, Schema schema, List<Target.Item> items, List<String> written, Map<String, Told> told) {
        Instant now = Instant.now();
        Set<String> done = new HashSet<>(written);
        for (Target.Item item : items) {
            Told one = told.get(item.id());
            if (!done.contains(item.id()) || one == null) {
                continue;
            }
            if (one.time() != null) {
                metrics.endToEnd(schema.entity(), system, Duration.between(one.time(), now));
            }
            if (EVENTS.isInfoEnabled()) {
                EVENTS.info(
                        "delivered entity={} id={} system={} version={} trace={}",
                        schema.entity(),
                        item.id(),
                        system,
                        item.version(),
                        one.traceparent() == null || one.traceparent().length() < 35
                                ? "-"
                                : one.traceparent().substring(3, 35));
            }
        }
    }

    /** What has been due for long, and for no reason that is known, is published again, a page of it each time. */
    @Scheduled(fixedDelayString = "${twinsync.delivery.sweep-interval:15s}")
    void sweep() {
        // before the flows run, and once they have stopped, there is no way to publish
        if (!camel.getStatus().isStarted()) {
            return;
        }
        try {
            for (Schema schema : schemas.all()) {
                for (String system : schema.systems()) {
                    sweep(schema, system);
                }
            }
        } catch (RuntimeException e) {
            if (!policy.passes(e)) {
                throw e;
            }
            // the database or Kafka is away, as health says
            LOG.debug("what has been due for long can't be published: {}", e.toString());
        }
    }

    private void sweep(Schema schema, String system) {
        String name = system + '/' + schema.entity();
        Instant last = busy.getOrDefault(name, Instant.EPOCH);
        boolean idle = last.isBefore(Instant.now().minusSeconds(5));
        if (!idle || outages.outages().containsKey("deliver-" + system + '-')) {
            return;
        }
        List<Records.DueKey> due = records.due(
                schema.entity(),
                system,
                Instant.now().minus(sweepAfter),
                swept.getOrDefault(name, Records.DueKey.FIRST),
                SWEPT);
        deadLetters.publishDue(
                schema.entity(), system, due.stream().map(Records.DueKey::id).toList());
        // the next turn goes on behind this page, and from the start again after the last
        swept.put(name, due.size() < SWEPT ? Records.DueKey.FIRST : due.get(due.size() - 1));
    }
}
