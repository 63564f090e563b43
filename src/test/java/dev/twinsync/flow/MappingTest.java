package dev.twinsync.flow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.twinsync.record.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MappingTest {

    @TempDir
    Path routes;

    private Mapping mapping(String text) throws Exception {
        Files.createDirectories(routes.resolve("users"));
        Files.writeString(routes.resolve("users/write-mini-users.jslt"), text);
        return new Mapping(routes);
    }

    @Test
    void aFieldIsRenamedAndWhatIsClearedOrEmptyStays() throws Exception {
        Mapping mapping =
                mapping("{\"data\": {for (.data) (if (.key == \"phone\") \"mobile\" else .key) : .value}, * : .}");
        assertThat(mapping.apply(
                        "users/write-mini-users.jslt",
                        Json.read("{\"user_id\":\"1\",\"data\":{\"phone\":null,\"items\":[],\"amount\":199.90}}")))
                .hasToString("{\"data\":{\"mobile\":null,\"items\":[],\"amount\":199.90},\"user_id\":\"1\"}");
    }

    @Test
    void nothingIsMappedToNothing() throws Exception {
        assertThat(mapping("{* : .}").apply("users/write-mini-users.jslt", null))
                .isNull();
    }

    @Test
    void aMistakeIsToldWithItsFile() {
        assertThatThrownBy(() -> mapping("{\"data\": "))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("write-mini-users.jslt");
    }

    @Test
    void aMappingThatIsNotThereIsNamed() throws Exception {
        Mapping mapping = mapping("{* : .}");
        assertThatThrownBy(() -> mapping.apply("users/read-mini-users.jslt", Json.read("{}")))
                .hasMessageContaining("users/read-mini-users.jslt");
    }
}
