package dev.twinsync.capture;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.Ticks;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.record.Times;
import dev.twinsync.state.Echoes;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import org.apache.camel.CamelContext;
import org.apache.camel.ProducerTemplate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/**
 * Capture by polling, and readings by key. Whatever learns that a key changed, the record is read by the one flow
 * {@code read-<system>-<entities>}; an observation is in Kafka before a cursor moves,
 * but for echoes, which are settled at once.
 */
@Component("capture")
public class Capture {

    private static final Logger LOG = LoggerFactory.getLogger(Capture.class);

    /** Pages of one turn: its cursor is kept when it ends. */
    static final int PAGES = 20;

    /** So many other records are asked for before one is believed to be gone. */
    private static final int OTHERS = 3;

    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);

    /** After so many turns that found nothing, a poll takes every second one until there is something again. */
    private static final int QUIET = 30;
    /** After so many, about a minute, every third one. */
    private static final int LONG_QUIET = 200;

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final Echoes echoes;
    private final Clocks clocks;
    private final CamelContext camel;
    private final ProducerTemplate template;
    private final TablePoll tables;
    private final KeySweep keys;
    private final Cursors cursors;
    private final int changesPage;
    private final ExecutorService readers = Executors.newFixedThreadPool(8, run -> {
        Thread thread = new Thread(run, "reader");
        thread.setDaemon(true);
        return thread;
    });

    private record Trouble(String message, Instant since, int turns, Instant until) {}

    private final Map<String, Trouble> troubles = new ConcurrentHashMap<>();
    private final Map<String, Instant> turns = new ConcurrentHashMap<>();
    private final Map<String, Integer> quiet = new ConcurrentHashMap<>();

    Capture(
            Schemas schemas,
            Records records,
            Observations observations,
            Echoes echoes,
            Clocks clocks,
            CamelContext camel,
            ProducerTemplate template,
            TablePoll tables,
            KeySweep keys,
            Cursors cursors,
            @Value("${twinsync.capture.mini.page}") int changesPage) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.echoes = echoes;
        this.clocks = clocks;
        this.camel = camel;
        this.template = template;
        this.tables = tables;
        this.keys = keys;
        this.cursors = cursors;
        this.changesPage = changesPage;
    }

    /** One turn of a poll; a failure ends the turn, and the next ones wait longer until one succeeds. */
    public void poll(String system, String entity) {
        Schema schema = schemas.of(entity);
        String name = "poll-" + system + '-' + schema.plural();
        int empty = quiet.getOrDefault(name, 0);
        int every = empty > LONG_QUIET ? 3 : empty > QUIET ? 2 : 1;
        if (empty % every != 0) {
            quiet.put(name, empty + 1);
            return;
        }
        guarded(name, () -> {
            boolean[] found = {false};
            if (isTable(system, schema)) {
                tables.turn(name, system, schema, (of, entities, ids) -> {
                    found[0] |= !ids.isEmpty();
                    read(of, entities, ids);
                });
            } else {
                cursors.turn(name, cursor -> found[0] = changes(system, schema, cursor));
            }
            quiet.put(name, found[0] ? 0 : empty + 1);
        });
    }

    /** One sweep over all keys of a system, for deletions that leave no trace. */
    public void sweep(String system, String entity) {
        Schema schema = schemas.of(entity);
        String name = "sweep-" + system + '-' + schema.plural();
        guarded(name, () -> keys.sweep(name, system, schema, this::read));
    }

    /** Reads records by their keys now and publishes the readings; used to settle what is in doubt. */
    public void readNow(String system, String entity, Collection<String> ids) {
        Schema schema = schemas.of(entity);
        // whoever asks for a reading gets it merged, be it an echo
        if (!ids.isEmpty()) {
            publish(system, schema, readings(system, schema, ids, some -> publish(system, schema, some)));
        }
    }

    /** What a system holds of a record at this moment, read by its key for a person to see; nothing is published. */
    public Observation look(String system, String entity, String id) {
        return readings(system, schemas.of(entity), List.of(id)).get(0);
    }

    /** Why a poll, log, feed or sweep does not get through, by the name of its flow; empty where all is well. */
    public Map<String, String> troubles() {
        Map<String, String> messages = new HashMap<>();
        troubles.forEach((name, t) -> messages.put(name, t.message() + " (since " + t.since() + ")"));
        return messages;
    }

    /** A log or a feed does not get through; it tries again by itself. */
    void fails(String flow, Throwable failure) {
        Throwable cause = root(failure);
        String told = cause.getClass().getSimpleName() + ": " + cause.getMessage();
        Trouble former = troubles.get(flow);
        if (former == null) {
            LOG.warn("{} does not get through and tries again: {}", flow, told);
        }
        Instant since = former == null ? Instant.now() : former.since();
        troubles.put(flow, new Trouble(told, since, former == null ? 1 : former.turns() + 1, Instant.now()));
    }

    /** A log or a feed gets through, or was stopped. */
    void passes(String flow) {
        if (troubles.remove(flow) != null) {
            LOG.info("{} gets through again", flow);
        }
    }

    private static Throwable root(Throwable failure) {
        Throwable cause = failure;
        while (cause.getCause() != null && cause.getCause() != cause) {
            cause = cause.getCause();
        }
        return cause;
    }

    /** When each poll last got through. */
    public Map<String, Instant> turns() {
        return Map.copyOf(turns);
    }

    /** Why the sweep holds back a mass deletion, or empty. */
    public Optional<String> brake(String system, String entity) {
        return keys.brake(system, schemas.of(entity));
    }

    /** Lets a mass deletion that was held back through, once. */
    public void release(String system, String entity) {
        keys.release(system, schemas.of(entity));
    }

    private void guarded(String name, Runnable turn) {
        Trouble trouble = troubles.get(name);
        if (trouble != null && Instant.now().isBefore(trouble.until())) {
            return;
        }
        try {
            turn.run();
            turns.put(name, Instant.now());
            if (troubles.remove(name) != null) {
                LOG.info("{} gets through again", name);
            }
        } catch (RuntimeException e) {
            int failed = trouble == null ? 1 : trouble.turns() + 1;
            long pause = Math.min(LONGEST_PAUSE.toMillis(), 500L << Math.min(failed, 7));
            pause = pause / 2 + ThreadLocalRandom.current().nextLong(pause / 2 + 1);
            pause = Math.max(pause, FailurePolicy.asked(e).toMillis());
            Throwable cause = root(e);
            if (trouble == null) {
                LOG.warn("{} does not get through and tries again: {}", name, cause.toString());
            }
            troubles.put(
                    name,
                    new Trouble(
                            cause.getClass().getSimpleName() + ": " + cause.getMessage(),
                            trouble == null ? Instant.now() : trouble.since(),
                            failed,
                            Instant.now().plusMillis(pause)));
        }
    }

    /** Looks at records by their keys now and publishes nothing; a record that isn't there is a reading that says so. */
    public List<Observation> look(String system, String entity, Collection<String> ids) {
        return ids.isEmpty() ? List.of() : readings(system, schemas.of(entity), ids);
    }

    /** Whether a system's records are rows that can be locked and listed by SQL; otherwise it is an API. */
    public boolean isTable(String system, Schema schema) {
        return camel.getRoute("lock-" + system + '-' + schema.plural()) != null;
    }

    /** @return whether there was anything */
    private boolean changes(String system, Schema schema, Cursors.Cursor cursor) {
        JsonNode value = cursor.value();
        String after = value == null ? null : value.path("after").asText(null);
        // a turn ends after some pages, so that what it has done is kept
        for (int pages = 0; pages < PAGES; pages++) {
            long began = records.tick();
            JsonNode page = page(system, schema, after);
            if (page.hasNonNull("next")
                    && !page.path("next").isTextual()
                    && !page.path("next").isIntegralNumber()) {
                // a cursor that is none, once kept, would stand in the way of every later turn
                throw new CallFailed(0, "the answer of /changes has no cursor in next", null, null, null);
            }
            Ticks ticks = new Ticks(began, page.path("items").isEmpty() ? began : records.tick());
            List<Observation> readings = new ArrayList<>();
            for (JsonNode item : page.path("items")) {
                if (!item.path("id").isValueNode() || item.path("id").isNull()) {
                    throw new CallFailed(0, "an item of /changes has no id", null, null, null);
                }
                String id = item.path("id").asText();
                if (schema.refuseId(id) != null) {
                    LOG.warn("{} gives an id of {} that can't be one: passed over", system, schema.entity());
                    continue;
                }
                readings.add(reading(system, schema, id, item, ticks));
            }
            echoes.pass(system, schema, readings, observations::publish);
            String next = page.path("next").asText(null);
            if (next != null && !next.equals(after)) {
                after = next;
                cursor.move(Json.MAPPER.createObjectNode().put("after", after));
            }
            if (page.path("items").size() < changesPage) {
                return pages > 0 || !readings.isEmpty();
            }
        }
        return true;
    }

    /** A page of an API's changes, from the first on where {@code after} is null. */
    private JsonNode page(String system, Schema schema, String after) {
        Map<String, Object> headers = new HashMap<>();
        headers.put("limit", changesPage);
        headers.put("after", after == null ? "" : "&after=" + URLEncoder.encode(after, StandardCharsets.UTF_8));
        JsonNode page = template.requestBodyAndHeaders(
                "direct:find-" + system + '-' + schema.plural(), null, headers, JsonNode.class);
        if (page == null || !page.path("items").isArray()) {
            throw new CallFailed(0, "the answer of /changes has no items", null, null, null);
        }
        return page;
    }

    /** What an API shows of a record, read by its key now; null where it has no such record. */
    public JsonNode shown(String system, Schema schema, String id) {
        return template.requestBodyAndHeader(
                "direct:read-" + system + '-' + schema.plural(), null, "id", id, JsonNode.class);
    }

    /**
     * The reading of a record as an API shows it: {@code {id, data, updated_at, deleted, digest}}; null: it isn't there.
     *
     * @throws CallFailed where it shows no record: read as one whose fields are all empty, it would clear them at every
     *     other system
     */
    public Observation reading(String system, Schema schema, String id, JsonNode item, Ticks ticks) {
        if (item == null) {
            return absent(system, schema, id, ticks);
        }
        JsonNode deleted = item.path("deleted");
        ObjectNode data = item.path("data") instanceof ObjectNode object ? object : null;
        if (data == null && !deleted.asBoolean(false)
                || !id.equals(item.path("id").asText())) {
            throw new CallFailed(0, "the answer for " + schema.entity() + " has no such record", null, null, null);
        }
        if (data == null) {
            data = Json.MAPPER.createObjectNode();
        }
        if (deleted.isBoolean()) {
            data.set("deleted", deleted);
        }
        String position = item.path("updated_at").asText(null);
        return Observations.reading(
                        schema.entity(),
                        id,
                        system,
                        true,
                        data,
                        position,
                        ticks,
                        clocks.corrected(system, instant(position)))
                .digested(item.path("digest").asText(null));
    }

    private void read(String system, Schema schema, Collection<String> ids) {
        if (!ids.isEmpty()) {
            List<Observation> readings = readings(system, schema, ids);
            echoes.pass(system, schema, readings, news -> publish(system, schema, news));
        }
    }

    private void publish(String system, Schema schema, List<Observation> news) {
        observations.publish(isTable(system, schema) ? news : confirmed(system, schema, news));
    }

    /**
     * A gateway that has lost a path says of every record that it isn't there. So a record that an API was known to hold
     * is believed to be gone only where the API shows another by its key, and says the same of this one once more.
     *
     * @throws CallFailed where it shows none: nobody gets through, until somebody mends the path
     */
    private List<Observation> confirmed(String system, Schema schema, List<Observation> readings) {
        List<String> absent = readings.stream()
                .filter(reading -> !reading.exists())
                .map(Observation::id)
                .toList();
        List<String> gone = absent.isEmpty() ? absent : keys.held(system, schema, absent);
        if (gone.isEmpty()) {
            return readings;
        }
        if (!showsAnother(system, schema, gone)) {
            throw new CallFailed(
                    404,
                    "no " + schema.entity() + " is found by its key, not even those of /changes: the path is lost",
                    null,
                    null,
                    null);
        }
        Map<String, Observation> again = new HashMap<>();
        readings(system, schema, gone).forEach(reading -> again.put(reading.id(), reading));
        return readings.stream()
                .map(reading -> again.getOrDefault(reading.id(), reading))
                .toList();
    }

    /** Whether one of the first records that an API tells of is found by its key; true where it tells of no other. */
    private boolean showsAnother(String system, Schema schema, List<String> gone) {
        List<String> others = new ArrayList<>();
        for (JsonNode item : page(system, schema, null).path("items")) {
            String id = item.path("id").asText();
            if (others.size() < OTHERS
                    && !item.path("deleted").asBoolean()
                    && !gone.contains(id)
                    && schema.refuseId(id) == null) {
                others.add(id);
            }
        }
        return others.isEmpty() || readings(system, schema, others).stream().anyMatch(Observation::exists);
    }

    private List<Observation> readings(String system, Schema schema, Collection<String> ids) {
        return readings(system, schema, ids, none -> {});
    }

    /** @param got takes what was read where not all could be: an API that lets few through is got through bit by bit */
    private List<Observation> readings(
            String system, Schema schema, Collection<String> ids, Consumer<List<Observation>> got) {
        if (isTable(system, schema)) {
            String flow = "direct:read-" + system + '-' + schema.plural();
            long began = records.tick();
            List<?> rows = template.requestBodyAndHeader(flow, null, "ids", ids.toArray(String[]::new), List.class);
            return readings(system, schema, ids, rows, new Ticks(began, records.tick()));
        }
        List<Future<Observation>> calls = new ArrayList<>();
        for (String id : ids) {
            calls.add(readers.submit(() -> {
                long began = records.tick();
                JsonNode item = shown(system, schema, id);
                return reading(system, schema, id, item, new Ticks(began, records.tick()));
            }));
        }
        List<Observation> readings = new ArrayList<>();
        RuntimeException failed = null;
        for (Future<Observation> call : calls) {
            try {
                readings.add(call.get());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted", e);
            } catch (ExecutionException e) {
                failed = e.getCause() instanceof RuntimeException cause
                        ? cause
                        : new IllegalStateException(e.getCause());
            }
        }
        if (failed != null) {
            got.accept(readings);
            throw failed;
        }
        return readings;
    }

    /** Readings of the rows that a flow {@code read-*} gave for the ids; an id without a row is absent. */
    public List<Observation> readings(String system, Schema schema, Collection<String> ids, List<?> rows, Ticks ticks) {
        Map<String, Observation> found = new HashMap<>();
        for (Object row : rows) {
            Map<?, ?> columns = (Map<?, ?>) row;
            String id = String.valueOf(columns.get("id"));
            String position = (String) columns.get("position");
            ObjectNode data =
                    (ObjectNode) Json.tolerant(((String) columns.get("data")).getBytes(StandardCharsets.UTF_8));
            Instant changed = clocks.corrected(system, instant(position));
            found.put(
                    id,
                    Observations.reading(schema.entity(), id, system, true, data, position, ticks, changed)
                            .digested((String) columns.get("digest")));
        }
        List<Observation> readings = new ArrayList<>();
        for (String id : ids) {
            Observation reading = found.get(id);
            readings.add(reading == null ? absent(system, schema, id, ticks) : reading);
        }
        return readings;
    }

    private static Observation absent(String system, Schema schema, String id, Ticks ticks) {
        ObjectNode nothing = Json.MAPPER.createObjectNode();
        return Observations.reading(schema.entity(), id, system, false, nothing, null, ticks, null);
    }

    private static Instant instant(String position) {
        try {
            return position == null ? null : Times.read(position);
        } catch (DateTimeParseException e) {
            return null;
        }
    }
}
