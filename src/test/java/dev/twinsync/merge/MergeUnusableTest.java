package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A value that nobody can read is written over only where a person says what belongs there. */
class MergeUnusableTest {

    private final TestSchema schema = new TestSchema(List.of("app", "mini"));
    private Golden golden = Golden.none("1");
    private Map<String, Base> bases = Map.of();

    private void merge(Observation.Kind kind, String system, String value, int tick, Set<String> unusable) {
        Observation o = new Observation(
                kind,
                "thing",
                "1",
                system,
                true,
                Json.MAPPER.createObjectNode(),
                kind == Observation.Kind.READING ? system + '/' + tick : null,
                kind == Observation.Kind.READING ? new Ticks(tick, tick + 1) : null,
                kind == Observation.Kind.READING ? Instant.EPOCH.plusSeconds(tick) : null,
                Instant.EPOCH.plusSeconds(tick),
                "e" + tick,
                null);
        Map<String, JsonNode> values = new HashMap<>();
        if (unusable.isEmpty()) {
            values.put("a", TextNode.valueOf(value));
        }
        if (kind == Observation.Kind.READING) {
            values.put("status", TextNode.valueOf("paid"));
            values.put("deleted", BooleanNode.FALSE);
        }
        Merge.Result result = Merge.merge(schema, golden, bases, o, values, unusable, 100);
        golden = result.golden();
        bases = result.bases();
    }

    private void read(String system, String value, int tick) {
        merge(Observation.Kind.READING, system, value, tick, value == null ? Set.of("a") : Set.of());
    }

    private Set<String> due(String system) {
        return Due.paths(schema, golden, bases.get(system));
    }

    private void delivered(String system) {
        Base base = bases.get(system);
        bases = new HashMap<>(bases);
        bases.put(
                system,
                Writes.answered(
                        base,
                        golden.values(),
                        golden.values(),
                        base.unusable(),
                        system + "/w" + golden.version(),
                        new Ticks(base.ticks().ended() + 1, base.ticks().ended() + 2),
                        golden.version()));
    }

    private void bothHold(String value) {
        read("app", value, 1);
        read("mini", value, 3);
        assertThat(due("app")).isEmpty();
        assertThat(due("mini")).isEmpty();
    }

    @Test
    void whatAnotherSystemEditsIsNotWrittenOverIt() {
        bothHold("1");
        read("app", null, 10);
        assertThat(due("app")).isEmpty();
        read("mini", "2", 20);
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("2"));
        assertThat(due("app")).isEmpty();
    }

    @Test
    void whatAnOperatorStatesIsEvenWhereItIsTrueAlready() {
        bothHold("1");
        read("app", null, 10);
        for (String stated : new String[] {"1", "2"}) {
            long before = golden.version();
            merge(Observation.Kind.PUSH, Merge.OPERATOR, stated, 20, Set.of());
            assertThat(golden.version()).isEqualTo(before + 1);
            assertThat(due("app")).containsExactly("a");
            delivered("app");
            assertThat(due("app")).isEmpty();
            delivered("mini");
        }
    }

    @Test
    void whatAnOperatorStatedBeforeItBecameSoIsNot() {
        bothHold("1");
        merge(Observation.Kind.PUSH, Merge.OPERATOR, "2", 10, Set.of());
        delivered("app");
        delivered("mini");
        read("app", null, 30);
        assertThat(due("app")).isEmpty();
        // what is true, where all can be read, is no news
        read("app", "2", 40);
        long before = golden.version();
        merge(Observation.Kind.PUSH, Merge.OPERATOR, "2", 50, Set.of());
        assertThat(golden.version()).isEqualTo(before);
    }
}
