package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What takes a repair back, by what is golden now. */
class UndoTest {

    private static final JsonNode FIELDS =
            Json.read("[{\"field\":\"status\",\"app\":\"paid\",\"mini\":\"shipped\",\"golden\":\"shipped\"},"
                    + "{\"field\":\"notifications.order\",\"app\":null,\"mini\":true,\"golden\":true}]");

    private static Golden golden(String json) {
        Map<String, Golden.FieldState> fields = new HashMap<>();
        Json.read(json)
                .properties()
                .forEach(field ->
                        fields.put(field.getKey(), new Golden.FieldState(field.getValue(), 1, "app", Instant.EPOCH)));
        return new Golden("1", 1, fields);
    }

    @Test
    void whatWasFoundIsPutBackWhereTheGoldenRecordWasStatedAgain() {
        Undo undo = Undo.of(golden("{\"status\":\"shipped\",\"notifications.order\":true}"), "app", "field", FIELDS);
        assertThat(Json.text(undo.edit())).isEqualTo("{\"notifications\":{\"order\":null},\"status\":\"paid\"}");
        assertThat(Undo.read(Json.read(undo.text())).edit()).isEqualTo(undo.edit());
        assertThat(undo.progress(golden("{\"status\":\"shipped\",\"notifications.order\":true}")))
                .isEqualTo(Undo.Progress.OPEN);
        assertThat(undo.progress(golden("{\"status\":\"paid\"}"))).isEqualTo(Undo.Progress.DONE);
        assertThat(undo.progress(golden("{\"status\":\"delivered\"}"))).isEqualTo(Undo.Progress.OVERTAKEN);
    }

    @Test
    void whatWasGoldenIsPutBackWhereWhatWasFoundWasBelieved() {
        Undo undo = Undo.of(golden("{\"status\":\"paid\"}"), "app", "field", FIELDS);
        assertThat(Json.text(undo.edit())).isEqualTo("{\"notifications\":{\"order\":true},\"status\":\"shipped\"}");
    }

    @Test
    void oneNewerValueLeavesTheWholeRecordAlone() {
        assertThat(Undo.of(golden("{\"status\":\"delivered\",\"notifications.order\":true}"), "app", "field", FIELDS))
                .isNull();
    }

    @Test
    void aRecordThatWasMissingOrNobodysIsDeletedAndOneThatWasRevivedIsDeletedAgain() {
        for (String kind : new String[] {"missing", "surplus"}) {
            JsonNode fields =
                    Json.read("[{\"field\":\"status\",\"app\":" + (kind.equals("missing") ? "null" : "\"paid\"")
                            + ",\"golden\":" + (kind.equals("missing") ? "\"paid\"" : "null") + "}]");
            assertThat(Json.text(Undo.of(golden("{\"status\":\"paid\"}"), "app", kind, fields)
                            .edit()))
                    .isEqualTo("{\"deleted\":true}");
            assertThat(Undo.of(golden("{\"status\":\"shipped\"}"), "app", kind, fields))
                    .isNull();
            assertThat(Json.text(Undo.of(golden("{\"status\":\"paid\",\"deleted\":true}"), "app", kind, fields)
                            .edit()))
                    .isEqualTo("{\"deleted\":false,\"status\":\"paid\"}");
        }
        JsonNode revived = Json.read("[{\"field\":\"deleted\",\"app\":false,\"golden\":true}]");
        assertThat(Json.text(Undo.of(golden("{\"deleted\":true}"), "app", "deleted", revived)
                        .edit()))
                .isEqualTo("{\"deleted\":false}");
    }
}
