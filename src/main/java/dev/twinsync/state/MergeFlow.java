package dev.twinsync.state;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.flow.Commits;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.flow.Outages;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.ObservationJson;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.record.Times;
import dev.twinsync.state.Records.BaseChange;
import dev.twinsync.state.Records.Change;
import dev.twinsync.state.Records.Delivery;
import dev.twinsync.state.Records.Snapshot;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Lazy;
import org.springframework.stereotype.Component;

/**
 * Merges a batch: one read, one merge in memory with a key's observations in order, one write in one transaction; then
 * what is due is published. A crash in between loses nothing: the batch comes again, and what is due stays due.
 */
@Component("merge")
public class MergeFlow {

    private static final Logger EVENTS = LoggerFactory.getLogger("dev.twinsync.events");

    /** Records that are read, merged and written at a time: so few that their JSON does not crowd a small heap. */
    private static final int SET = 250;

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final MergeReports reports;
    private final Outages outages;
    private final FailurePolicy policy;

    MergeFlow(
            Schemas schemas,
            Records records,
            Observations observations,
            MergeReports reports,
            Outages outages,
            @Lazy FailurePolicy policy) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.reports = reports;
        this.outages = outages;
        this.policy = policy;
    }

    /** Merges the batch of records in the exchange's body; called by the flows {@code merge-*}. */
    public void merge(String entity, Exchange exchange) {
        outages.work("merge-", exchange, () -> batch(entity, exchange));
    }

    private void batch(String entity, Exchange exchange) {
        Schema schema = schemas.of(entity);
        List<Exchange> batch = Commits.batch(exchange);
        for (int i = 0; i < batch.size(); i += SET) {
            merge(schema, batch.subList(i, Math.min(batch.size(), i + SET)));
        }
    }

    private void merge(Schema schema, List<Exchange> set) {
        Map<String, List<Stated>> byId = new LinkedHashMap<>();
        for (Exchange record : set) {
            byte[] value = record.getMessage().getBody(byte[].class);
            try {
                Stated stated = stated(schema, record, ObservationJson.read(value == null ? new byte[0] : value));
                byId.computeIfAbsent(stated.observation().id(), id -> new ArrayList<>())
                        .add(stated);
            } catch (IllegalArgumentException e) {
                // one record that is no observation holds up no other
                reports.poison(schema.entity(), record, e);
            }
        }
        Map<String, List<Stated>> open = byId;
        while (!open.isEmpty()) {
            open = halving(schema, open);
        }
    }

    private record Stated(
            Exchange record, Observation observation, Schema.Normalised normalised, Set<String> unusable) {}

    /** What fails for good is halved until the record that makes it fail stands alone, and holds up no other. */
    private Map<String, List<Stated>> halving(Schema schema, Map<String, List<Stated>> byId) {
        try {
            return policy.patiently(() -> merge(schema, byId));
        } catch (RuntimeException e) {
            if (policy.passes(e)) {
                throw e;
            }
            if (byId.size() == 1) {
                byId.values().iterator().next().forEach(one -> reports.poison(schema.entity(), one.record(), e));
                return Map.of();
            }
            Map<String, List<Stated>> again = new LinkedHashMap<>();
            List<String> ids = List.copyOf(byId.keySet());
            int middle = ids.size() / 2;
            for (List<String> half : List.of(ids.subList(0, middle), ids.subList(middle, ids.size()))) {
                Map<String, List<Stated>> part = new LinkedHashMap<>();
                half.forEach(id -> part.put(id, byId.get(id)));
                again.putAll(halving(schema, part));
            }
            return again;
        }
    }

    private Stated stated(Schema schema, Exchange record, Observation observation) {
        if (!schema.entity().equals(observation.entity())) {
            throw new IllegalArgumentException("entity: this topic is for " + schema.entity());
        }
        String refused = schema.refuseId(observation.id());
        if (refused != null) {
            throw new IllegalArgumentException("id: " + refused);
        }
        boolean reading = observation.look();
        if (!schema.systems().contains(observation.system())
                && !(observation.system().equals(Merge.OPERATOR) && !reading)) {
            throw new IllegalArgumentException("system: one of " + schema.systems() + " is needed");
        }
        Schema.Normalised normalised = schema.normalise(observation.data(), reading);
        Set<String> unusable = new HashSet<>();
        normalised.problems().forEach(problem -> unusable.add(problem.field()));
        return new Stated(record, observation, normalised, unusable);
    }

    /** @return what must be merged again, since another writer was faster */
    private Map<String, List<Stated>> merge(Schema schema, Map<String, List<Stated>> byId) {
        Map<String, Snapshot> snapshots = records.load(schema.entity(), byId.keySet());
        long tick = records.tick();
        List<Folded> folded = new ArrayList<>();
        for (Map.Entry<String, List<Stated>> entry : byId.entrySet()) {
            folded.add(fold(schema, snapshots.get(entry.getKey()), entry.getValue(), tick));
        }
        List<Change> changes = folded.stream()
                .map(Folded::change)
                .filter(java.util.Objects::nonNull)
                .toList();
        Set<String> lost = new HashSet<>(changes.isEmpty() ? List.of() : records.save(schema.entity(), changes));
        List<Folded> written =
                folded.stream().filter(f -> !lost.contains(f.id())).toList();
        publish(schema, written);
        written.forEach(f -> report(schema, f));
        reports.fields(
                schema.entity(),
                written.stream().flatMap(f -> f.fields().stream()).toList());
        Map<String, List<Stated>> again = new LinkedHashMap<>();
        lost.forEach(id -> again.put(id, byId.get(id)));
        return again;
    }

    /** What a key's observations came to. */
    private record Folded(
            String id,
            Golden golden,
            Set<String> due,
            Change change,
            List<Merge.Result> results,
            List<Stated> stated,
            List<MergeReports.Fields> fields) {}

    private static Folded fold(Schema schema, Snapshot snapshot, List<Stated> stated, long tick) {
        Golden golden = snapshot.golden();
        Map<String, Base> bases = new HashMap<>(snapshot.bases());
        Set<String> touched = new LinkedHashSet<>();
        List<Records.Conflict> conflicts = new ArrayList<>();
        List<Records.Event> events = new ArrayList<>();
        List<Merge.Result> results = new ArrayList<>();
        List<MergeReports.Fields> fields = new ArrayList<>();
        Map<String, java.time.Instant> observed = new HashMap<>();
        Map<String, String> digests = new HashMap<>();
        Map<String, Records.Shown> shown = new HashMap<>();
        for (Stated one : stated) {
            Observation o = one.observation();
            Merge.Result result =
                    Merge.merge(schema, golden, bases, o, one.normalised().values(), one.unusable(), tick);
            golden = result.golden();
            bases = result.bases();
            touched.addAll(result.touched());
            results.add(result);
            observed.put(o.system(), o.observedAt());
            if (o.look() && result.touched().contains(o.system()) && result.outcome() != Merge.Outcome.DOUBTED) {
                digests.put(o.system(), o.digest());
            } else if (o.look() && result.outcome() == Merge.Outcome.UNCHANGED && o.digest() != null) {
                // the echo of a write of ours, begun before the write was answered
                shown.put(o.system(), new Records.Shown(o.position(), o.digest()));
            }
            conflicts(result, conflicts);
            events(o, result, events);
            fields(snapshot, one, fields);
        }
        List<BaseChange> changed = new ArrayList<>();
        Set<String> due = new LinkedHashSet<>();
        List<String> owed = new ArrayList<>();
        boolean moved = golden.version() != snapshot.golden().version();
        for (String system : schema.systems()) {
            Base base = bases.getOrDefault(system, Base.unknown(system));
            boolean isDue = Due.is(schema, golden, base);
            // what it was owed may be on its way at this moment, and is not what is true now: nobody else would look
            boolean overtakes = moved && !touched.contains(system) && Due.is(schema, snapshot.golden(), base);
            Delivery delivery = snapshot.delivery().get(system);
            if (touched.contains(system)) {
                changed.add(new BaseChange(
                        base,
                        isDue,
                        delivery,
                        delivery == null ? List.of() : delivery.waitingFor(),
                        delivery == null ? null : delivery.refused(),
                        delivery == null || moved ? 0 : delivery.keyNumber(),
                        observed.get(system),
                        digests.get(system)));
            } else if (moved && isDue || overtakes) {
                owed.add(system);
            }
            // what a look shows to be owed no more is told too: its delivery ends the letter that waited for it
            boolean settled = !isDue && touched.contains(system) && delivery != null && delivery.dueSince() != null;
            if (settled || overtakes || isDue && !refused(delivery, golden, base)) {
                due.add(system);
            }
        }
        shown.keySet().removeAll(touched);
        Change change = changed.isEmpty() && !moved && conflicts.isEmpty() && events.isEmpty() && shown.isEmpty()
                ? null
                : new Change(
                        golden.id(),
                        moved ? golden : null,
                        snapshot.golden().version(),
                        changed,
                        conflicts,
                        events,
                        owed,
                        shown);
        return new Folded(golden.id(), golden, due, change, results, stated, fields);
    }

    /** A letter is open for just this version: there is nothing new to deliver. */
    private static boolean refused(Delivery delivery, Golden golden, Base base) {
        return delivery != null
                && delivery.refused() != null
                && delivery.refused() == golden.version()
                && !base.doubt();
    }

    private static void conflicts(Merge.Result result, List<Records.Conflict> conflicts) {
        for (Merge.Conflict c : result.conflicts()) {
            conflicts.add(new Records.Conflict(
                    c.path(),
                    c.system(),
                    c.losing(),
                    c.winning(),
                    c.winner(),
                    c.rule().name().toLowerCase(java.util.Locale.ROOT),
                    c.fieldVersion()));
        }
    }

    private static void events(Observation o, Merge.Result result, List<Records.Event> events) {
        long version = result.golden().version();
        if (!result.moves().isEmpty()) {
            ObjectNode moves = Json.MAPPER.createObjectNode();
            Set<String> rules = new LinkedHashSet<>();
            result.moves().forEach((path, move) -> {
                ObjectNode field = moves.putObject(path);
                field.set("from", move.from());
                field.set("to", move.to());
                rules.add(move.rule().name().toLowerCase(java.util.Locale.ROOT));
            });
            boolean restored = o.system().equals(Merge.OPERATOR);
            events.add(new Records.Event(
                    restored ? "restored" : "merged", o.system(), version, moves, String.join(",", rules), null, null));
        }
        if (!result.mended().isEmpty()) {
            ObjectNode moves = Json.MAPPER.createObjectNode();
            result.mended().forEach((path, move) -> {
                ObjectNode field = moves.putObject(path);
                field.set("from", move.from());
                field.set("to", move.to());
            });
            events.add(new Records.Event("repaired", o.system(), version, moves, null, null, null));
        }
        for (Merge.Conflict c : result.conflicts()) {
            ObjectNode field = Json.MAPPER.createObjectNode();
            field.putObject(c.path()).<ObjectNode>set("from", c.losing()).set("to", c.winning());
            ObjectNode loser = Json.MAPPER.createObjectNode();
            loser.put("system", c.system());
            loser.set("value", c.losing());
            events.add(new Records.Event(
                    "conflict",
                    o.system(),
                    version,
                    field,
                    c.rule().name().toLowerCase(java.util.Locale.ROOT),
                    loser,
                    null));
        }
        if (!result.stale().isEmpty()) {
            events.add(new Records.Event(
                    "stale", o.system(), version, null, "forward", null, String.join(", ", result.stale())));
        } else if (result.outcome() == Merge.Outcome.STALE) {
            events.add(new Records.Event(
                    "stale", o.system(), version, null, null, null, "older than what is known of this system"));
        } else if (result.outcome() == Merge.Outcome.DOUBTED) {
            events.add(new Records.Event(
                    "observed", o.system(), version, null, null, null, "in doubt: the record is read again"));
        }
    }

    private static void fields(Snapshot snapshot, Stated one, List<MergeReports.Fields> fields) {
        Base base = snapshot.bases().get(one.observation().system());
        boolean before = base != null && !base.unusable().isEmpty();
        if (one.observation().look() && (before || !one.unusable().isEmpty())) {
            fields.add(new MergeReports.Fields(
                    one.observation(), one.normalised().problems(), base == null ? Set.of() : base.unusable()));
        }
    }

    private void publish(Schema schema, Collection<Folded> folded) {
        List<Message> messages = new ArrayList<>();
        for (Folded f : folded) {
            if (f.due().isEmpty()) {
                continue;
            }
            Observation last = f.stated().get(f.stated().size() - 1).observation();
            messages.add(changed(
                    observations,
                    schema.entity(),
                    f.id(),
                    f.golden().version(),
                    f.due(),
                    last.system(),
                    Times.text(last.changedAt() == null ? last.observedAt() : last.changedAt()),
                    last.traceparent()));
        }
        observations.send(messages);
    }

    /** The message that says which systems are due; published again as often as need be, it says no more than that. */
    public static Message changed(
            Observations observations,
            String entity,
            String id,
            long version,
            Collection<String> due,
            String source,
            String time,
            String traceparent) {
        ObjectNode body = Json.MAPPER.createObjectNode();
        body.put("id", id);
        body.put("version", version);
        ArrayNode systems = body.putArray("due");
        due.forEach(systems::add);
        Message message = observations.message(Topics.changed(entity), id, Json.bytes(body));
        message.setHeader("ce_specversion", "1.0");
        message.setHeader("ce_type", "dev.twinsync." + entity + ".changed");
        message.setHeader("ce_id", entity + '/' + id + '/' + version);
        message.setHeader("ce_source", source);
        message.setHeader("ce_subject", id);
        message.setHeader("ce_time", time);
        message.setHeader("traceparent", traceparent);
        return message;
    }

    private void report(Schema schema, Folded folded) {
        for (int i = 0; i < folded.results().size(); i++) {
            Observation o = folded.stated().get(i).observation();
            Merge.Result result = folded.results().get(i);
            reports.merged(schema.entity(), o, result);
            if (EVENTS.isInfoEnabled() && result.outcome() != Merge.Outcome.UNCHANGED) {
                EVENTS.info(
                        "{} entity={} id={} system={} version={} trace={}",
                        result.outcome().name().toLowerCase(java.util.Locale.ROOT),
                        schema.entity(),
                        o.id(),
                        o.system(),
                        result.golden().version(),
                        Observations.traceId(o.traceparent()));
            }
        }
    }
}
