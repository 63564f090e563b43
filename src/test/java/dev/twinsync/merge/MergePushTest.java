package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Pushes that state no time, and that Kafka gives once more: a batch comes again when its offsets were not committed. */
class MergePushTest {

    private final TestSchema schema = new TestSchema(List.of("app", "mini"));
    private Golden golden = Golden.none("1");
    private Map<String, Base> bases = Map.of();

    @BeforeEach
    void bothEndsAreEqual() {
        merge(reading("app", "0", 1));
        merge(reading("mini", "0", 3));
        assertThat(Due.is(schema, golden, bases.get("mini"))).isFalse();
    }

    @Test
    void twoThatComeAgainWhileTheSecondIsOnItsWayBackChangeNothing() {
        merge(push("1", 10));
        merge(push("2", 11));
        // a look at the pusher shows neither, so that it is told of the second
        intended("mini", "2");
        Golden before = golden;
        merge(push("1", 10));
        merge(push("2", 11));
        assertThat(golden).isEqualTo(before);
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("2"));
    }

    @Test
    void oneThatComesAgainAfterAnEditThatItsSystemHasSeenChangesNothing() {
        merge(push("1", 10));
        delivered("app");
        merge(reading("app", "2", 20));
        delivered("mini");
        Golden before = golden;
        merge(push("1", 10));
        assertThat(golden).isEqualTo(before);
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("2"));
    }

    @Test
    void oneThatArrivesLaterIsTaken() {
        merge(push("1", 10));
        delivered("app");
        merge(reading("app", "2", 20));
        delivered("mini");
        merge(push("1", 30));
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("1"));
        merge(push("3", 30));
        assertThat(golden.value("a")).as("at the same moment, and behind it").isEqualTo(TextNode.valueOf("3"));
    }

    private void intended(String system, String value) {
        put(Writes.intended(bases.get(system), Map.of("a", TextNode.valueOf(value))));
    }

    private void delivered(String system) {
        Base base = bases.get(system);
        put(Writes.answered(
                base,
                golden.values(),
                golden.values(),
                Set.of(),
                system + golden.version(),
                new Ticks(base.ticks().ended() + 5, base.ticks().ended() + 6),
                golden.version()));
    }

    private void put(Base base) {
        bases = new HashMap<>(bases);
        bases.put(base.system(), base);
    }

    private void merge(Observation o) {
        Map<String, JsonNode> values = schema.normalise(o.data(), true).values();
        Merge.Result result = Merge.merge(schema, golden, bases, o, values, Set.of(), 100);
        golden = result.golden();
        bases = result.bases();
    }

    private static Observation push(String value, long arrived) {
        return observation(Observation.Kind.PUSH, "mini", value, null, null, null, arrived);
    }

    private static Observation reading(String system, String value, long began) {
        return observation(
                Observation.Kind.READING,
                system,
                value,
                system + '/' + began,
                new Ticks(began, began + 1),
                Instant.EPOCH.plusSeconds(began),
                began + 1);
    }

    private static Observation observation(
            Observation.Kind kind,
            String system,
            String value,
            String position,
            Ticks ticks,
            Instant changed,
            long arrived) {
        ObjectNode data = Json.MAPPER.createObjectNode().put("a", value);
        if (kind == Observation.Kind.READING) {
            data.put("status", "paid").put("deleted", false);
        }
        return new Observation(
                kind,
                "thing",
                "1",
                system,
                true,
                data,
                position,
                ticks,
                changed,
                Instant.EPOCH.plusSeconds(arrived),
                "e" + arrived,
                null);
    }
}
