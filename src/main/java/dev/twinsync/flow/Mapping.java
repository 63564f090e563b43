package dev.twinsync.flow;

import com.fasterxml.jackson.databind.JsonNode;
import com.schibsted.spt.data.jslt.Expression;
import com.schibsted.spt.data.jslt.JsltException;
import com.schibsted.spt.data.jslt.Parser;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/**
 * The mappings beside the flows, in JSLT: from the canonical record to what a system calls it, and back. They work on
 * the tree itself, since a flow carries sets of hundreds of records.
 */
@Component("mapping")
public class Mapping {

    private final Map<String, Expression> mappings = new TreeMap<>();

    /** @throws IllegalArgumentException where a mapping can't be compiled, naming file and place */
    Mapping(@Value("${twinsync.routes-dir}") Path routes) throws IOException {
        if (!Files.isDirectory(routes)) {
            return; // told by whoever reads the schemas
        }
        try (Stream<Path> files = Files.walk(routes)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".jslt")).toList()) {
                String name = routes.relativize(file).toString();
                try (Reader reader = Files.newBufferedReader(file)) {
                    // what a mapping makes null or empty stays: it may clear a field
                    mappings.put(
                            name,
                            new Parser(reader)
                                    .withSource(name)
                                    .withObjectFilter(value -> true)
                                    .compile());
                } catch (JsltException e) {
                    throw new IllegalArgumentException(file + ": " + e.getMessage(), e);
                }
            }
        }
    }

    /**
     * Maps a body.
     *
     * @param file the mapping's file, as seen from the routes' folder
     * @param body null where there is nothing to map
     */
    public JsonNode apply(String file, JsonNode body) {
        Expression mapping = mappings.get(file);
        if (mapping == null) {
            throw new IllegalArgumentException("there is no mapping " + file);
        }
        return body == null ? null : mapping.apply(body);
    }

    /**
     * Maps what a system answered.
     *
     * @throws CallFailed where it can't be mapped: then it is no answer of the contract's, and the call is made again
     */
    public JsonNode answer(String file, JsonNode body) {
        try {
            return apply(file, body);
        } catch (JsltException e) {
            throw new CallFailed(0, "the answer can't be mapped by " + file, null, null, null);
        }
    }
}
