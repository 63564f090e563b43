package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
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
import java.security.Principal;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.UUID;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** What is known of a record, and why it is what it is. */
@RestController
class RecordController {

    private static final int MOST = 200;

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final Capture capture;
    private final JdbcTemplate jdbc;

    RecordController(Schemas schemas, Records records, Observations observations, Capture capture, JdbcTemplate jdbc) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.capture = capture;
        this.jdbc = jdbc;
    }

    @GetMapping("/{plural:[a-z_]+}/{id}")
    ObjectNode record(@PathVariable String plural, @PathVariable String id, Principal caller) {
        Schema schema = schema(plural);
        boolean full = schema.systems().contains(caller.getName());
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

    @GetMapping("/{plural:[a-z_]+}/{id}/timeline")
    ObjectNode timeline(
            @PathVariable String plural,
            @PathVariable String id,
            @RequestParam(defaultValue = "") String after,
            @RequestParam(defaultValue = "50") int limit) {
        Schema schema = schema(plural);
        int most = Math.max(1, Math.min(MOST, limit));
        Instant at = Instant.parse("9999-01-01T00:00:00Z");
        long seq = Long.MAX_VALUE;
        if (!after.isEmpty()) {
            String[] cursor = after.split("_");
            try {
                at = Instant.parse(cursor[0]);
                seq = Long.parseLong(cursor[1]);
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
            item.set("fields", moves(schema, (String) row.get("fields")));
            item.put("rule", (String) row.get("rule"));
            item.set("loser", loser(schema, (String) row.get("fields"), (String) row.get("loser")));
            if (row.get("note") != null) {
                item.put("note", (String) row.get("note"));
            }
            next = time + "_" + row.get("seq");
        }
        answer.put("next", rows.size() < most ? null : next);
        return answer;
    }

    @GetMapping("/conflicts")
    ObjectNode conflicts(
            @RequestParam(required = false) String entity,
            @RequestParam(required = false) String id,
            @RequestParam(required = false) String state,
            @RequestParam(required = false) Long after,
            @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(MOST, limit));
        List<Map<String, Object>> rows = jdbc.queryForList(
                """
                select id, entity, record_id, path, system, losing::text as losing, winning::text as winning, winner, rule,
                  field_version, at, state
                from conflict
                where (cast(? as text) is null or entity = ?) and (cast(? as text) is null or record_id = ?)
                  and (cast(? as text) is null or state = ?) and id < ?
                order by id desc limit ?""", entity, entity, id, id, state, state, after == null ? Long.MAX_VALUE : after, most);
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
            item.set("losing", masked(field, (String) row.get("losing")));
            item.set("winning", masked(field, (String) row.get("winning")));
            item.put("winner", (String) row.get("winner"));
            item.put("rule", (String) row.get("rule"));
            item.put("field_version", (Long) row.get("field_version"));
            item.put("at", ((Timestamp) row.get("at")).toInstant().toString());
            item.put("state", (String) row.get("state"));
        }
        answer.put("next", rows.size() < most ? null : next);
        return answer;
    }

    @PostMapping("/conflicts/{conflict:\\d+}/restore")
    ObjectNode restore(@PathVariable long conflict) {
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
        return Json.MAPPER.createObjectNode().put("state", "restored");
    }

    /** Lets through a mass deletion that the key sweep holds back. */
    @PostMapping("/sweeps/{system}/{plural}/release")
    ObjectNode release(@PathVariable String system, @PathVariable String plural) {
        Schema schema = schema(plural);
        if (capture.brake(system, schema.entity()).isEmpty()) {
            throw new Problem(HttpStatus.CONFLICT, "nothing is held back");
        }
        capture.release(system, schema.entity());
        return Json.MAPPER.createObjectNode().put("state", "released");
    }

    private Schema schema(String plural) {
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

    private static JsonNode masked(Field field, String text) {
        return text == null ? null : Masking.mask(field, Json.read(text));
    }

    private static JsonNode moves(Schema schema, String text) {
        if (text == null) {
            return null;
        }
        JsonNode moves = Json.read(text);
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

    private static JsonNode loser(Schema schema, String fields, String text) {
        if (text == null || !(Json.read(text) instanceof ObjectNode loser)) {
            return null;
        }
        if (fields != null) {
            Json.read(fields)
                    .fieldNames()
                    .forEachRemaining(path -> loser.set("value", Masking.mask(schema.field(path), loser.get("value"))));
        }
        return loser;
    }
}
