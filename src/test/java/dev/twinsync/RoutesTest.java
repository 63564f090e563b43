package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The conventions of the flows, held over the real folder; every breach is told at once. */
class RoutesTest {

    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());
    private static final Set<String> LEAVES = Set.of("to", "toD", "bean", "wireTap", "enrich", "pollEnrich");

    /** Flows that Java calls by the convention {@code <verb>-<system>-<entities>}. */
    private static final String CALLED =
            "(find|read|list|page|check|digest|lock|write|batch|push)-.*|publish-records|dead-letter";

    private final List<String> breaches = new ArrayList<>();
    private final Set<String> consumed = new HashSet<>();
    private final Map<String, String> called = new HashMap<>();

    @Test
    void theFlowsKeepTheConventions() throws IOException {
        check(Path.of("routes"));
        assertThat(breaches).isEmpty();
        try (Stream<Path> files = flows(Path.of("routes"))) {
            assertThat(files.count()).isEqualTo(2 * 23 + 5 + 2);
        }
    }

    @Test
    void usersAndOrdersDifferInTheLastWordAlone() {
        assertThat(names("orders")).isEqualTo(names("users"));
    }

    @Test
    void breachesAreFound(@TempDir Path routes) throws IOException {
        Files.createDirectories(routes.resolve("users"));
        Files.writeString(routes.resolve("users/bad-one.camel.yaml"), """
                - route:
                    id: other
                    from:
                      uri: direct:nowhere-known
                      steps:
                        - to: {uri: "http://10.0.0.1/x", parameters: {password: hunter2}}
                        - to: {id: ok, uri: "direct:missing"}
                        - nonsense: {}
                    errorHandler: {noErrorHandler: {}}
                """);
        check(routes);
        String all = String.join("\n", breaches);
        assertThat(all)
                .contains("id is not the file's name")
                .contains("description")
                .contains("leaves the flow without an id")
                .contains("literal host")
                .contains("secret")
                .contains("direct:missing has no flow")
                .contains("error block")
                .contains("nonsense");
    }

    private static Set<String> names(String folder) {
        Set<String> names = new TreeSet<>();
        try (Stream<Path> files = flows(Path.of("routes", folder))) {
            files.forEach(file -> names.add(file.getFileName().toString().replace(folder, "*")));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return names;
    }

    private static Stream<Path> flows(Path routes) throws IOException {
        return Files.walk(routes).filter(file -> file.toString().endsWith(".camel.yaml"));
    }

    private void check(Path routes) throws IOException {
        JsonSchema schema;
        try (InputStream definition = RoutesTest.class.getResourceAsStream("/schema/camelYamlDsl.json")) {
            schema = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V7).getSchema(definition);
        }
        try (Stream<Path> files = flows(routes)) {
            for (Path file : files.sorted().toList()) {
                JsonNode tree = YAML.readTree(file.toFile());
                String name = routes.relativize(file).toString();
                schema.validate(tree).forEach(message -> breaches.add(name + ": " + message.getMessage()));
                flow(routes, file, name, tree);
            }
        }
        called.forEach((target, from) -> {
            if (!consumed.contains(target)) {
                breaches.add(from + ": direct:" + target + " has no flow");
            }
        });
    }

    private void flow(Path routes, Path file, String name, JsonNode tree) throws IOException {
        String text = Files.readString(file);
        if (text.lines().count() > 60) {
            breaches.add(name + ": more than 60 lines");
        }
        if (text.replaceAll("#.*", "").matches("(?s).*(https?://|\\b\\d+\\.\\d+\\.\\d+\\.\\d+|localhost).*")) {
            breaches.add(name + ": a literal host; name it in application.yaml");
        }
        if (text.matches("(?si).*(password|secret|api-?key)\\s*:\\s*(?!\"?\\{\\{)\\S+.*")) {
            breaches.add(name + ": a secret; take it from the environment");
        }
        boolean shared = name.startsWith("shared");
        boolean policy = name.endsWith("error-policy.camel.yaml");
        if (!shared && text.matches("(?s).*(onException|errorHandler|doTry).*")) {
            breaches.add(name + ": an error block; the policy stands in shared/error-policy.camel.yaml alone");
        }
        if (policy) {
            return;
        }
        String expected = file.getFileName().toString().replace(".camel.yaml", "");
        if (tree.size() != 1 || !tree.get(0).has("route")) {
            breaches.add(name + ": one route a file, and nothing else");
            return;
        }
        JsonNode route = tree.get(0).get("route");
        if (!route.path("id").asText().equals(expected)) {
            breaches.add(name + ": the route's id is not the file's name");
        }
        if (route.path("description").asText().isBlank()) {
            breaches.add(name + ": no description");
        }
        String from = route.path("from").path("uri").asText();
        if (from.startsWith("direct:")) {
            consumed.add(from.substring("direct:".length()));
            if (!from.equals("direct:" + expected) || !expected.matches(CALLED + "|call-.*")) {
                breaches.add(name + ": nobody calls " + from);
            }
        }
        steps(name, route.path("from").path("steps"));
        text.lines().filter(line -> line.contains("resource:file:")).forEach(line -> {
            String resource = line.replaceAll(".*\\}\\}/", "").strip();
            if (!Files.exists(routes.resolve(resource))) {
                breaches.add(name + ": there is no file " + resource);
            }
        });
    }

    private void steps(String name, JsonNode steps) {
        for (JsonNode step : steps) {
            step.properties().forEach(entry -> {
                if (LEAVES.contains(entry.getKey())) {
                    if (!entry.getValue().path("id").isTextual()) {
                        breaches.add(name + ": " + entry.getKey() + " leaves the flow without an id");
                    }
                    String uri = entry.getValue().path("uri").asText();
                    if (uri.startsWith("direct:")) {
                        called.put(uri.substring("direct:".length()), name);
                    }
                }
                steps(name, entry.getValue().path("steps"));
            });
        }
    }
}
