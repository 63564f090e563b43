package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** The entities: every {@code *.schema.yaml} one folder below {@code routes/}. */
@Component("schemas")
public class Schemas {

    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    private final Map<String, Schema> byEntity = new LinkedHashMap<>();

    @Autowired
    Schemas(@Value("${twinsync.routes-dir:./routes}") String routes) {
        this(Path.of(routes));
    }

    private Schemas(Path routes) {
        if (!Files.isDirectory(routes)) {
            throw new InvalidSchema("ROUTES_DIR: there is no folder " + routes.toAbsolutePath()
                    + "; name the folder that holds users/, orders/ and shared/");
        }
        try (Stream<Path> files = Files.find(
                routes, 2, (file, attributes) -> file.getFileName().toString().endsWith(".schema.yaml"))) {
            for (Path file : files.sorted().toList()) {
                Schema schema = SchemaFile.compile(file, tree(file));
                Schema other = byEntity.put(schema.entity(), schema);
                if (other != null) {
                    throw new InvalidSchema(file + ": entity: " + schema.entity() + " is declared twice");
                }
            }
            if (byEntity.isEmpty()) {
                throw new InvalidSchema("ROUTES_DIR: the folder " + routes.toAbsolutePath()
                        + " holds no <entity>.schema.yaml; name the folder that holds users/, orders/ and shared/");
            }
        } catch (IOException e) {
            throw new InvalidSchema(routes + " can't be read: " + e.getMessage());
        }
    }

    /** @throws InvalidSchema naming the file, the field and what to write instead */
    public static Schemas load(Path routes) {
        return new Schemas(routes);
    }

    private static JsonNode tree(Path file) throws IOException {
        try {
            return YAML.readTree(file.toFile());
        } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
            throw new InvalidSchema(
                    file + ":" + (e.getLocation() == null ? 0 : e.getLocation().getLineNr()) + ": not YAML: "
                            + e.getOriginalMessage());
        }
    }

    /** @throws IllegalArgumentException where there is no such entity */
    public Schema of(String entity) {
        Schema schema = byEntity.get(entity);
        if (schema == null) {
            throw new IllegalArgumentException("no entity " + entity + "; there are " + byEntity.keySet());
        }
        return schema;
    }

    public boolean has(String entity) {
        return byEntity.containsKey(entity);
    }

    public Collection<Schema> all() {
        return List.copyOf(byEntity.values());
    }

    /** A schema file that can't be used; the message is one line for the person who wrote it. */
    public static class InvalidSchema extends RuntimeException {
        InvalidSchema(String message) {
            super(message);
        }
    }
}
