package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Rule;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Observations;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import javax.sql.DataSource;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.namedparam.NamedParameterJdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Plants errors in shadow records and says which of them a run has found.
 *
 * <p>Shadow records are real ones, under ids that are nobody's, written at both ends through the flows twice: first as
 * they should be, then as if somebody had changed them. Then Twinsync's memory alone is put back to the first: its bases
 * know the digests that the ends themselves gave for it. That is just what a change by hand leaves behind. It moves no
 * timestamp: at an end whose digests tell the record's time too, that alone is put back past the flows, by a statement
 * of the integrator, or a digest that tells the time and leaves a field out would not be noticed. Meanwhile the memory
 * is frozen: its ticks lie beyond every look, so that capture, which sees the shadows too, changes nothing. At the end
 * the memory is thawed and the shadows are deleted, as deleted records stay: the next self-test takes the same ones.
 */
@Component
class SelfTest {

    static final String PREFIX = "twinsync-self-test-";

    static final long FROZEN = Long.MAX_VALUE / 2;
    private static final Duration ARRIVAL = Duration.ofMinutes(5);
    /** What runs that are over have put out of the memory and not put back. */
    private static final String LEFT = """
            from shadow where not exists (
              select from verification_run r where r.run = shadow.run and ended_at is null)""";

    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    /** @param from null: only the ends have it; {@code to} null: only the memory has it */
    private record Shadow(String id, ObjectNode from, ObjectNode to) {}

    private final JdbcTemplate jdbc;
    private final NamedParameterJdbcTemplate app;
    private final TransactionTemplate transaction;
    private final Observations observations;
    private final Path routes;

    SelfTest(
            JdbcTemplate jdbc,
            @Qualifier("appPool") DataSource app,
            TransactionTemplate transaction,
            Observations observations,
            @Value("${twinsync.routes-dir}") Path routes) {
        this.jdbc = jdbc;
        this.app = new NamedParameterJdbcTemplate(app);
        this.transaction = transaction;
        this.observations = observations;
        this.routes = routes;
    }

    private Path file(Schema schema) {
        return routes.resolve("verification").resolve("self-test-" + schema.plural() + ".yaml");
    }

    /** Why there can be no self-test of the entity, or null. */
    String refuse(Schema schema) {
        if (!Files.exists(file(schema))) {
            return "there is no " + file(schema) + ": write two records there, from and to";
        }
        JsonNode file = read(schema);
        for (String name : List.of("from", "to")) {
            if (!(file.get(name) instanceof ObjectNode record)) {
                return file(schema) + ": " + name + ": write a record";
            }
            for (Schema.Problem problem :
                    schema.normalise(filled(record, PREFIX), true).problems()) {
                return file(schema) + ": " + name + problem.pointer() + ": " + problem.message();
            }
        }
        return null;
    }

    private JsonNode read(Schema schema) {
        try {
            return YAML.readTree(Files.readString(file(schema)));
        } catch (IOException e) {
            throw new IllegalArgumentException(file(schema) + ": " + e.getMessage(), e);
        }
    }

    private static ObjectNode filled(ObjectNode record, String id) {
        return (ObjectNode) Json.read(Json.text(record).replace("{id}", id));
    }

    private List<Shadow> shadows(Schema schema) {
        JsonNode file = read(schema);
        ObjectNode from = (ObjectNode) file.path("from");
        ObjectNode to = (ObjectNode) file.path("to");
        // what `to` alone has is cleared in `from`
        to.fieldNames().forEachRemaining(name -> from.putIfAbsent(name, NullNode.getInstance()));
        ObjectNode whole = from.deepCopy();
        List<Shadow> shadows = new ArrayList<>();
        for (Field field : schema.fields()) {
            JsonNode value = to.get(field.name());
            if (value == null || Due.same(value, from.get(field.name()))) {
                continue;
            }
            ObjectNode changed = from.deepCopy();
            changed.set(field.name(), value);
            shadows.add(new Shadow(PREFIX + field.name(), from, changed));
            if (field.rule() == Rule.STICKY) {
                ObjectNode stuck = from.deepCopy();
                stuck.set(field.name(), BooleanNode.TRUE);
                shadows.add(new Shadow(PREFIX + "not-" + field.name(), stuck, from));
            }
        }
        ObjectNode other = to.deepCopy();
        whole.fieldNames().forEachRemaining(name -> other.putIfAbsent(name, NullNode.getInstance()));
        other.set("deleted", whole.get("deleted"));
        shadows.add(new Shadow(PREFIX + "swapped-1", whole, other));
        shadows.add(new Shadow(PREFIX + "swapped-2", other, whole));
        shadows.add(new Shadow(PREFIX + "surplus", null, whole));
        shadows.add(new Shadow(PREFIX + "missing", whole, null));
        return shadows;
    }

    /** What a shadow holds at the ends in a stage; null where it is not there. A record is made before it is deleted. */
    private static ObjectNode held(Shadow shadow, String stage) {
        if (shadow.to() == null) {
            return null;
        }
        ObjectNode data = shadow.from() == null || stage.equals("to") ? shadow.to() : shadow.from();
        if (stage.equals("made") && data.path("deleted").asBoolean()) {
            data = data.deepCopy();
            data.set("deleted", BooleanNode.FALSE);
        }
        return data;
    }

    /**
     * Takes the next step; each can be taken again, should the service have ended before it was stored.
     *
     * @return whether the errors are planted
     */
    boolean plant(Run run, Schema schema) {
        List<Shadow> shadows = shadows(schema);
        String stage = run.progress.path("stage").asText("");
        if (stage.isEmpty()) {
            String refused = refuse(schema);
            if (refused != null) {
                throw new IllegalStateException(refused);
            }
            thaw(schema.entity());
            // should the run end before its time, this says what is to be cleared away
            jdbc.update("""
                    insert into shadow (entity, id, system, step, run, kept) values (?, '', '', 'from', ?, '{}')
                    on conflict (entity, id, system, step) do update set run = excluded.run""", schema.entity(), run.run);
            publish(run, schema, shadows, "made");
        } else if (kept(run, schema, "to")) {
            date(schema, "from");
            return true;
        } else if (stage.equals("from") && kept(run, schema, "from") || arrived(run, schema, shadows, stage)) {
            switch (stage) {
                case "made" -> publish(run, schema, shadows, "from");
                case "from" -> {
                    if (!kept(run, schema, "from")) {
                        keep(run, schema.entity(), "from");
                    }
                    publish(run, schema, shadows, "to");
                }
                default -> {
                    freeze(run, schema);
                    date(schema, "from");
                    return true;
                }
            }
        }
        return false;
    }

    private boolean kept(Run run, Schema schema, String step) {
        return Boolean.TRUE.equals(jdbc.queryForObject(
                "select exists (select from shadow where entity = ? and run = ? and step = ? and id <> '')",
                Boolean.class,
                schema.entity(),
                run.run,
                step));
    }

    private void publish(Run run, Schema schema, List<Shadow> shadows, String stage) {
        List<Observation> edits = new ArrayList<>();
        for (Shadow shadow : shadows) {
            ObjectNode data = held(shadow, stage);
            if (data != null) {
                edits.add(edit(run, schema, shadow.id(), filled(data, shadow.id()), stage));
            }
        }
        observations.publish(edits);
        run.progress.put("stage", stage);
        run.progress.put("since", Instant.now().toString());
        run.nextAt = Instant.now().plusMillis(500);
    }

    private static Observation edit(Run run, Schema schema, String id, ObjectNode data, String stage) {
        String event = "self-test/" + run.run + '/' + id + '/' + stage;
        return Observations.push(
                schema.entity(),
                id,
                Merge.OPERATOR,
                data,
                null,
                null,
                UUID.nameUUIDFromBytes(event.getBytes(java.nio.charset.StandardCharsets.UTF_8))
                        .toString());
    }

    /** Whether the shadows are at both ends, their echo has come, and the digests that the ends give are known. */
    private boolean arrived(Run run, Schema schema, List<Shadow> shadows, String stage) {
        List<String> open = new ArrayList<>();
        for (Shadow shadow : shadows) {
            ObjectNode data = held(shadow, stage);
            if (data == null) {
                continue;
            }
            for (String system : schema.systems()) {
                Boolean there = jdbc.queryForObject(
                        """
                        select exists (
                          select from base b join golden g on g.entity = b.entity and g.id = b.id
                          where b.entity = ? and b.id = ? and b.system = ? and b.present and not b.doubt
                            and b.digest is not null and b.detail -> 'wrote' is null
                            and b.held::jsonb @> ?::jsonb
                            and not exists (select from due d where d.entity = b.entity and d.id = b.id and d.system = b.system))""",
                        Boolean.class,
                        schema.entity(),
                        shadow.id(),
                        system,
                        held(schema, system, shadow.id(), data));
                if (!Boolean.TRUE.equals(there)) {
                    open.add(shadow.id() + " at " + system);
                }
            }
        }
        if (open.isEmpty()) {
            run.told.remove("waits");
            return true;
        }
        run.told.put("waits", open.get(0) + (open.size() == 1 ? "" : " and " + (open.size() - 1) + " more"));
        if (Instant.parse(run.progress.path("since").asText()).plus(ARRIVAL).isBefore(Instant.now())) {
            run.told.put("why", "the shadow records do not arrive, see their letters: " + open.get(0));
            run.state = "failed";
            remove(schema, run);
        }
        run.nextAt = Instant.now().plusMillis(500);
        return false;
    }

    /** What the base must hold; a deleted record is written by its deletion alone. */
    private static String held(Schema schema, String system, String id, ObjectNode data) {
        ObjectNode held = Json.MAPPER.createObjectNode();
        boolean deleted = data.path("deleted").asBoolean();
        schema.normalise(filled(data, id), true).values().forEach((path, value) -> {
            Field field = schema.field(path);
            if (field.systems().contains(system) && (!deleted || path.equals("deleted"))) {
                held.set(path, value);
            }
        });
        return Json.text(held);
    }

    private void keep(Run run, String entity, String step) {
        transaction.executeWithoutResult(status -> {
            jdbc.update("delete from shadow where entity = ? and step = ?", entity, step);
            jdbc.update("""
                    insert into shadow (entity, id, system, step, run, kept)
                    select entity, id, system, ?, ?, to_jsonb(b) from base b where entity = ? and starts_with(id, ?)
                    union all
                    select entity, id, '', ?, ?, to_jsonb(g) from golden g where entity = ? and starts_with(id, ?)""", step, run.run, entity, PREFIX, step, run.run, entity, PREFIX);
        });
    }

    /** The statement that dates a record at the app's database, or null: its digests tell nothing of the time. */
    private String dates(Schema schema) {
        JsonNode file = Files.exists(file(schema)) ? read(schema) : Json.MAPPER.createObjectNode();
        return file.path("dates").path("app").asText(null);
    }

    /** Gives the shadows at the app the time that they had at a step. */
    private void date(Schema schema, String step) {
        String statement = dates(schema);
        if (statement == null) {
            return;
        }
        jdbc.query(
                """
                select id, kept ->> 'position' as position from shadow
                where entity = ? and step = ? and system = 'app' and kept ->> 'position' is not null""",
                row -> {
                    app.update(statement, Map.of("id", row.getString("id"), "position", row.getString("position")));
                },
                schema.entity(),
                step);
    }

    private void freeze(Run run, Schema schema) {
        String entity = schema.entity();
        String dated = dates(schema) == null ? "" : "app";
        transaction.executeWithoutResult(status -> {
            keep(run, entity, "to");
            jdbc.update("""
                    update base b set held = f.held, digest = f.digest, detail = f.detail, present = f.present,
                      position = case when b.system = ? then f.position else b.position end,
                      tick_began = ?, tick_ended = ?, revision = b.revision + 1
                    from shadow s cross join lateral jsonb_populate_record(null::base, s.kept) f
                    where s.entity = ? and s.step = 'from' and s.system <> ''
                      and b.entity = s.entity and b.id = s.id and b.system = s.system""", dated, FROZEN, FROZEN, entity);
            jdbc.update("""
                    update golden g set held = f.held, origins = f.origins
                    from shadow s cross join lateral jsonb_populate_record(null::golden, s.kept) f
                    where s.entity = ? and s.step = 'from' and s.system = '' and g.entity = s.entity and g.id = s.id""", entity);
            // what only the ends have
            jdbc.update("""
                    update base set present = false, held = '{}', digest = null, detail = null, tick_began = ?, tick_ended = ?
                    where entity = ? and id = ?""", FROZEN, FROZEN, entity, PREFIX + "surplus");
            jdbc.update("delete from golden where entity = ? and id = ?", entity, PREFIX + "surplus");
            // what only the memory has: as another shadow, of an id that was never at the ends
            jdbc.update("delete from base where entity = ? and id = ?", entity, PREFIX + "missing");
            jdbc.update("delete from golden where entity = ? and id = ?", entity, PREFIX + "missing");
            jdbc.update("""
                    insert into golden select (jsonb_populate_record(null::golden, to_jsonb(g) || jsonb_build_object('id', ?::text))).*
                    from golden g where entity = ? and id = ?""", PREFIX + "missing", entity, PREFIX + "swapped-1");
            jdbc.update("""
                    insert into base select (jsonb_populate_record(null::base, to_jsonb(b) || jsonb_build_object('id', ?::text))).*
                    from base b where entity = ? and id = ?""", PREFIX + "missing", entity, PREFIX + "swapped-1");
        });
    }

    /** Says what was found of what was planted. */
    void tell(Run run, Schema schema) {
        Set<String> found = new TreeSet<>(jdbc.queryForList("""
                select record_id || ' at ' || system from verification_difference
                where run = ? and starts_with(record_id, ?) and state = 'confirmed'""", String.class, run.run, PREFIX));
        Set<String> missed = new TreeSet<>();
        int planted = 0;
        for (Shadow shadow : shadows(schema)) {
            Field field = schema.field(shadow.id().substring(PREFIX.length()).replace("not-", ""));
            for (String system : schema.systems()) {
                if (field == null || field.systems().contains(system)) {
                    planted++;
                    if (!found.contains(shadow.id() + " at " + system)) {
                        missed.add(shadow.id().substring(PREFIX.length()) + " at " + system);
                    }
                }
            }
        }
        run.told.put("planted", planted);
        run.told.put("found", planted - missed.size());
        run.told.put("missed", String.join(", ", missed));
    }

    /** Takes what was found out of the run's differences, and the shadows out of the world. */
    void end(Run run, Schema schema) {
        jdbc.update("delete from verification_difference where run = ? and starts_with(record_id, ?)", run.run, PREFIX);
        remove(schema, run);
    }

    /** Entities of which a self-test that is over has left something: asked at every turn, so all of them at once. */
    List<String> left() {
        return jdbc.queryForList("select distinct entity " + LEFT, String.class);
    }

    /** A self-test that was stopped, or whose service has ended for good, leaves no frozen memory behind. */
    void clear(Schema schema) {
        List<Long> left =
                jdbc.queryForList("select distinct run " + LEFT + " and entity = ?", Long.class, schema.entity());
        for (long of : left) {
            Run run = new Run();
            run.run = of;
            remove(schema, run);
        }
    }

    private void remove(Schema schema, Run run) {
        date(schema, "to");
        thaw(schema.entity());
        List<Observation> deletions = new ArrayList<>();
        for (Shadow shadow : shadows(schema)) {
            if (shadow.to() != null) {
                ObjectNode deletion = Json.MAPPER.createObjectNode().put("deleted", true);
                deletions.add(edit(run, schema, shadow.id(), deletion, "end"));
            }
        }
        observations.publish(deletions);
        // only now is nothing left: should the service end before, this is done again
        jdbc.update("delete from shadow where entity = ? and step = 'from' and id = ''", schema.entity());
    }

    private void thaw(String entity) {
        transaction.executeWithoutResult(status -> {
            // whoever comes second waits here, and then finds nothing to put back over what has been merged since
            jdbc.query("select from shadow where entity = ? for update", row -> {}, entity);
            int golden = jdbc.update("""
                    insert into golden select f.* from shadow s cross join lateral jsonb_populate_record(null::golden, s.kept) f
                    where s.entity = ? and s.step = 'to' and s.system = ''
                    on conflict (entity, id) do update set held = excluded.held, origins = excluded.origins,
                      -- a version that was told of is never taken back: what became due by it would stay so
                      version = greatest(golden.version, excluded.version)""", entity);
            if (golden > 0) {
                jdbc.update("""
                        update base b set held = f.held, digest = f.digest, detail = f.detail, present = f.present,
                          position = f.position, tick_began = f.tick_began, tick_ended = f.tick_ended, revision = b.revision + 1
                        from shadow s cross join lateral jsonb_populate_record(null::base, s.kept) f
                        where s.entity = ? and s.step = 'to' and s.system <> ''
                          and b.entity = s.entity and b.id = s.id and b.system = s.system""", entity);
                for (String table : List.of("base", "golden")) {
                    jdbc.update("delete from " + table + " where entity = ? and id = ?", entity, PREFIX + "missing");
                }
            }
            jdbc.update("delete from shadow where entity = ? and id <> ''", entity);
        });
    }
}
