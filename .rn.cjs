const ts=require('typescript'),fs=require('fs'),path=require('path');
const cfg=ts.readConfigFile('tsconfig.json',ts.sys.readFile).config;
const parsed=ts.parseJsonConfigFileContent(cfg,ts.sys,process.cwd());
const versions=new Map();
const host={getScriptFileNames:()=>parsed.fileNames,getScriptVersion:f=>String(versions.get(f)||0),getScriptSnapshot:f=>fs.existsSync(f)?ts.ScriptSnapshot.fromString(fs.readFileSync(f,'utf8')):undefined,getCurrentDirectory:()=>process.cwd(),getCompilationSettings:()=>parsed.options,getDefaultLibFileName:o=>ts.getDefaultLibFilePath(o),fileExists:ts.sys.fileExists,readFile:ts.sys.readFile,readDirectory:ts.sys.readDirectory,directoryExists:ts.sys.directoryExists,getDirectories:ts.sys.getDirectories};
const ls=ts.createLanguageService(host);
for(const spec of process.argv.slice(2)){const [file,pat,to]=spec.split('::');const f=path.resolve(file);const text=fs.readFileSync(f,'utf8');const i=text.indexOf(pat);if(i<0){console.log('!! not found',spec);continue}
const from=/(\w+)$/.exec(pat)[1];const pos=i+pat.length-from.length;
const locs=ls.findRenameLocations(f,pos,false,false,{providePrefixAndSuffixTextForRename:false});
if(!locs){console.log('!! none',spec);continue}
const by=new Map();for(const l of locs){if(!by.has(l.fileName))by.set(l.fileName,[]);by.get(l.fileName).push(l)}
for(const [fn,ls2] of by){let t=fs.readFileSync(fn,'utf8');ls2.sort((a,b)=>b.textSpan.start-a.textSpan.start);for(const l of ls2)t=t.slice(0,l.textSpan.start)+(l.prefixText||'')+to+(l.suffixText||'')+t.slice(l.textSpan.start+l.textSpan.length);fs.writeFileSync(fn,t);versions.set(fn,(versions.get(fn)||0)+1)}
console.log(from,'->',to,locs.length,'in',by.size)}
