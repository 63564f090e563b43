package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.audit.Audit;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * What is known of a record, and why it is what it is: for the API and for the console's pages. Personal values are
 * masked unless the caller asks for them in full.
 */
@Component
public class KnownRecords {

    private static final int MOST = 200;
    private static final Instant NEWEST = Instant.parse("9999-01-01T00:00:00Z");
    private static final List<String> CONFLICT_STATES = List.of("open", "restored", "closed");

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final Audit audit;
    private final JdbcTemplate jdbc;

    KnownRecords(Schemas schemas, Records records, Observations observations, Audit audit, JdbcTemplate jdbc) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.audit = audit;
        this.jdbc = jdbc;
    }

    /**
     * The golden record and what each system is known to hold of it.
     *
     * @throws NoSuchElementException where nothing is known of the id
     */
    public ObjectNode record(Schema schema, String id, boolean full) {
        Records.Snapshot snapshot = records.load(schema.entity(), List.of(id)).get(id);
        Golden golden = snapshot.golden();
        if (golden.version() == 0 && snapshot.bases().isEmpty()) {
            throw new NoSuchElementException("no " + schema.entity() + " of this id is known");
        }
        ObjectNode answer = Json.MAPPER.createObjectNode();
        answer.put("entity", schema.entity());
        answer.put("id", id);
        answer.put("version", golden.version());
        answer.put("deleted", golden.deleted());
        answer.set("data", shown(schema, golden.values(), full));
        ArrayNode waiting = answer.putArray("waiting_for");
        ObjectNode systems = answer.putObject("systems");
        for (String system : schema.systems()) {
            Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
            Records.Delivery delivery = snapshot.delivery().get(system);
            ObjectNode node = systems.putObject(system);
            node.put("position", base.position());
            node.put(
                    "observed_at",
                    delivery == null || delivery.observedAt() == null
                            ? null
                            : delivery.observedAt().toString());
            node.put("in_doubt", base.doubt());
            node.set("held", base.known() && base.exists() ? shown(schema, base.held(), full) : null);
            ArrayNode altered = node.putArray("altered");
            Due.altered(base).forEach(altered::add);
            if (delivery != null) {
                delivery.waitingFor().stream()
                        .filter(field -> !waiting.valueStream()
                                .anyMatch(known -> known.asText().equals(field)))
                        .forEach(waiting::add);
            }
        }
        return answer;
    }

    /**
     * What the systems held of a record when they were asked just now, masked, beside what is true.
     *
     * @throws NoSuchElementException where nothing is known of the id, here or there
     */
    ObjectNode live(Schema schema, String id, Map<String, RecordActs.Seen> seen) {
        Golden golden = records.load(schema.entity(), List.of(id)).get(id).golden();
        if (golden.version() == 0
                && seen.values().stream()
                        .allMatch(one -> one.reading() != null && !one.reading().exists())) {
            throw new NoSuchElementException("no " + schema.entity() + " of this id is known");
        }
        ObjectNode answer = Json.MAPPER.createObjectNode();
        answer.put("entity", schema.entity());
        answer.put("id", id);
        answer.put("version", golden.version());
        answer.put("read_at", Instant.now().toString());
        ObjectNode systems = answer.putObject("systems");
        seen.forEach((system, one) -> {
            ObjectNode node = systems.putObject(system);
            node.put("exists", one.reading() == null ? null : one.reading().exists());
            node.put("position", one.reading() == null ? null : one.reading().position());
            node.set(
                    "data",
                    one.reading() == null || !one.reading().exists()
                            ? null
                            : shown(schema, one.normal().values(), false));
            ArrayNode differs = node.putArray("differs");
            if (one.reading() != null && one.reading().exists()) {
                Set<String> paths = new TreeSet<>(golden.fields().keySet());
                paths.addAll(one.normal().values().keySet());
                paths.stream()
                        .filter(path -> schema.field(path) == null
                                || schema.field(path).systems().contains(system))
                        .filter(path -> !Due.same(one.normal().values().get(path), golden.value(path)))
                        .forEach(differs::add);
            }
            node.put("trouble", one.trouble());
        });
        return answer;
    }

    /**
     * What happened to a record, newest first.
     *
     * @param after {@code next} of the page before, or empty
     */
    public ObjectNode timeline(Schema schema, String id, String after, int limit, boolean full) {
        int most = Math.max(1, Math.min(MOST, limit));
        Instant at = NEWEST;
        long seq = Long.MAX_VALUE;
        if (!after.isEmpty()) {
            String[] cursor = after.split("_");
            try {
                at = Instant.parse(cursor[0]);
                seq = Long.parseLong(cursor[1]);
                if (at.isBefore(Instant.EPOCH) || at.isAfter(NEWEST)) {
                    throw new IllegalArgumentException("a time that no event has");
                }
            } catch (RuntimeException e) {
                throw new Problem(HttpStatus.BAD_REQUEST, "after: take it from next of the page before");
            }
        }
        List<Map<String, Object>> rows = jdbc.queryForList("""
                select at, seq, kind, system, version, fields::text as fields, rule, loser::text as loser, note
                from history where entity = ? and id = ? and (at, seq) < (?, ?) order by at desc, seq desc limit ?""", schema.entity(), id, Timestamp.from(at), seq, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        String next = null;
        for (Map<String, Object> row : rows) {
            ObjectNode item = items.addObject();
            Instant time = ((Timestamp) row.get("at")).toInstant();
            item.put("at", time.toString());
            item.put("kind", (String) row.get("kind"));
            item.put("system", (String) row.get("system"));
            item.put("version", (Long) row.get("version"));
            item.set("fields", moves(schema, (String) row.get("fields"), full));
            item.put("rule", (String) row.get("rule"));
            item.set("loser", loser(schema, (String) row.get("fields"), (String) row.get("loser"), full));
            if (row.get("note") != null) {
                item.put("note", (String) row.get("note"));
            }
            next = time + "_" + row.get("seq");
        }
        answer.put("next", rows.size() < most ? null : next);
        return answer;
    }

    /** Values that a rule did not take, newest first; a filter that is null or empty does not filter. */
    public ObjectNode conflicts(String entity, String id, String state, Long after, int limit, boolean full) {
        int most = Math.max(1, Math.min(MOST, limit));
        if (id != null && id.indexOf(0) >= 0) {
            throw new Problem(HttpStatus.BAD_REQUEST, "id: it has a character that no id has");
        }
        Problem.oneOf(
                "entity",
                blank(entity).isEmpty() ? null : entity,
                schemas.all().stream().map(Schema::entity).toList());
        Problem.oneOf("state", blank(state).isEmpty() ? null : state, CONFLICT_STATES);
        List<Map<String, Object>> rows = jdbc.queryForList(
                """
                select id, entity, record_id, path, system, losing::text as losing, winning::text as winning, winner, rule,
                  field_version, at, state
                from conflict
                where (? = '' or entity = ?) and (? = '' or record_id = ?) and (? = '' or state = ?) and id < ?
                order by id desc limit ?""",
                blank(entity),
                entity,
                blank(id),
                id,
                blank(state),
                state,
                after == null ? Long.MAX_VALUE : after,
                most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        Long next = null;
        for (Map<String, Object> row : rows) {
            ObjectNode item = items.addObject();
            next = (Long) row.get("id");
            Field field = schemas.has((String) row.get("entity"))
                    ? schemas.of((String) row.get("entity")).field((String) row.get("path"))
                    : null;
            item.put("id", next);
            item.put("entity", (String) row.get("entity"));
            item.put("record_id", (String) row.get("record_id"));
            item.put("field", (String) row.get("path"));
            item.put("system", (String) row.get("system"));
            item.set("losing", masked(field, (String) row.get("losing"), full));
            item.set("winning", masked(field, (String) row.get("winning"), full));
            item.put("winner", (String) row.get("winner"));
            item.put("rule", (String) row.get("rule"));
            item.put("field_version", (Long) row.get("field_version"));
            item.put("at", ((Timestamp) row.get("at")).toInstant().toString());
            item.put("state", (String) row.get("state"));
        }
        answer.put("next", rows.size() < most ? null : next);
        return answer;
    }

    /**
     * Makes a losing value an edit by the operator, as long as the field is still what was shown.
     *
     * @param who the person or caller, for the audit
     * @param reason why, or null
     * @return the record's id
     * @throws Problem where the field has changed since, or the conflict is not open any more
     */
    public String restore(long conflict, String who, String reason) {
        return audit.act(
                new Audit.Act(who, "conflict.restore", "conflict", String.valueOf(conflict), reason),
                () -> restore(conflict));
    }

    private String restore(long conflict) {
        List<Map<String, Object>> rows = jdbc.queryForList("""
                select entity, record_id, path, losing::text as losing, field_version, state from conflict where id = ?""", conflict);
        if (rows.isEmpty()) {
            throw new NoSuchElementException("no conflict " + conflict);
        }
        Map<String, Object> row = rows.get(0);
        Schema schema = schemas.of((String) row.get("entity"));
        String id = (String) row.get("record_id");
        String path = (String) row.get("path");
        Golden golden = records.load(schema.entity(), List.of(id)).get(id).golden();
        Golden.FieldState field = golden.fields().get(path);
        long present = field == null ? 0 : field.version();
        if (present != (Long) row.get("field_version")) {
            JsonNode value = Masking.mask(schema.field(path), golden.value(path));
            throw new Problem(
                    HttpStatus.CONFLICT,
                    path + " has changed since, it is now " + Json.text(value) + " of version " + present);
        }
        int taken = jdbc.update("update conflict set state = 'restored' where id = ? and state = 'open'", conflict);
        if (taken == 0) {
            throw new Problem(HttpStatus.CONFLICT, "the conflict is " + row.get("state"));
        }
        JsonNode losing = row.get("losing") == null ? null : Json.read((String) row.get("losing"));
        ObjectNode data = Json.MAPPER.createObjectNode();
        int dot = path.indexOf('.');
        if (dot < 0) {
            data.set(path, losing);
        } else {
            data.putObject(path.substring(0, dot)).set(path.substring(dot + 1), losing);
        }
        observations.publish(List.of(Observations.push(
                schema.entity(),
                id,
                Merge.OPERATOR,
                data,
                null,
                null,
                UUID.randomUUID().toString())));
        return id;
    }

    /** @throws NoSuchElementException where no entity has this plural */
    public Schema schema(String plural) {
        return schemas.all().stream()
                .filter(schema -> schema.plural().equals(plural))
                .findFirst()
                .orElseThrow(() -> new NoSuchElementException("there is no such path"));
    }

    private static ObjectNode shown(Schema schema, Map<String, JsonNode> values, boolean full) {
        if (full) {
            return schema.assemble(values);
        }
        Map<String, JsonNode> masked = new HashMap<>();
        values.forEach((path, value) -> masked.put(path, Masking.mask(schema.field(path), value)));
        return schema.assemble(masked);
    }

    private static JsonNode masked(Field field, String text, boolean full) {
        return text == null ? null : full ? Json.read(text) : Masking.mask(field, Json.read(text));
    }

    private static JsonNode moves(Schema schema, String text, boolean full) {
        if (text == null) {
            return null;
        }
        JsonNode moves = Json.read(text);
        if (full) {
            return moves;
        }
        List<String> paths = new ArrayList<>();
        moves.fieldNames().forEachRemaining(paths::add);
        for (String path : paths) {
            if (moves.get(path) instanceof ObjectNode move) {
                Field field = schema.field(path);
                for (String side : List.of("from", "to")) {
                    move.set(side, Masking.mask(field, move.get(side)));
                }
            }
        }
        return moves;
    }

    private static JsonNode loser(Schema schema, String fields, String text, boolean full) {
        if (text == null || !(Json.read(text) instanceof ObjectNode loser)) {
            return null;
        }
        if (fields != null && !full) {
            Json.read(fields)
                    .fieldNames()
                    .forEachRemaining(path -> loser.set("value", Masking.mask(schema.field(path), loser.get("value"))));
        }
        return loser;
    }

    private static String blank(String filter) {
        return filter == null ? "" : filter;
    }
}
